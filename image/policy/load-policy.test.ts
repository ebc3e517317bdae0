import {generateKeyPairSync} from 'node:crypto';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {InvalidArgumentError} from '../../base/errors.js';
import {newSigner} from './fake-signatures.js';
import {loadPolicy} from './policy.js';
import {toPublicKey} from './public-key.js';

const PEM = newSigner().pem;
const DATA = Buffer.from(PEM).toString('base64');

async function policyFile(t: ExecutionContext, content: string | object): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), 'berth-policy-'));
	t.teardown(() => rm(directory, {recursive: true, force: true}));
	const path = join(directory, 'policy.json');
	await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
	return path;
}

/** A policy whose scope "quay.io/x" has this one requirement. */
function of(requirement: object): object {
	return {default: [{type: 'reject'}], transports: {docker: {'quay.io/x': [requirement]}}};
}

const AT = 'transports.docker."quay.io/x"[0]';
const signedWith = (more: object): object => of({type: 'sigstoreSigned', ...more});

for (const [what, content] of [
	['the least policy', {default: [{type: 'insecureAcceptAnything'}]}],
	['keyPath', signedWith({keyPath: '/k.pub'})],
	['keyPaths', signedWith({keyPaths: ['/k.pub', '/l.pub']})],
	['keyData', signedWith({keyData: DATA})],
	['keyDatas', signedWith({keyDatas: [DATA, DATA]})],
	['matchExact', signedWith({keyData: DATA, signedIdentity: {type: 'matchExact'}})],
	['matchRepoDigestOrExact', signedWith({keyData: DATA, signedIdentity: {type: 'matchRepoDigestOrExact'}})],
	['matchRepository', signedWith({keyData: DATA, signedIdentity: {type: 'matchRepository'}})],
	['exactReference', signedWith({keyData: DATA, signedIdentity: {type: 'exactReference', dockerReference: 'busybox:1'}})],
	['exactRepository', signedWith({keyData: DATA, signedIdentity: {type: 'exactRepository', dockerRepository: 'busybox'}})],
	['remapIdentity', signedWith({keyData: DATA, signedIdentity: {type: 'remapIdentity', prefix: 'a.io/x', signedPrefix: 'b.io'}})],
	[
		'transports that are not ours',
		{default: [{type: 'reject'}], transports: {'docker-daemon': {'': [{type: 'insecureAcceptAnything'}]}, dir: {'/a': [{type: 'reject'}]}}},
	],
] as const) {
	test(`loadPolicy takes ${what}`, async t => {
		await t.notThrowsAsync(loadPolicy(await policyFile(t, content)));
	});
}

const MUST_TYPE = 'must be "insecureAcceptAnything", "reject" or "sigstoreSigned"';
const NOT_SUPPORTED = 'not supported, only keyed signatures without a transparency log are';
const ONE_KEY = 'must have exactly one of keyPath, keyPaths, keyData, keyDatas';

for (const [what, content, message] of [
	['no default', {}, /: default: /],
	['an empty list', {default: []}, ':1: default: must not be empty'],
	['an unknown key', {default: [{type: 'reject'}], defautl: 1}, ':1: defautl: unknown key'],
	['an unknown key of a requirement', of({type: 'reject', reason: 'x'}), `:1: ${AT}.reason: unknown key`],
	['an unknown type', of({type: 'accept'}), `:1: ${AT}.type: ${MUST_TYPE}`],
	['no type', of({}), `:1: ${AT}.type: ${MUST_TYPE}`],
	['signedBy', of({type: 'signedBy', keyType: 'GPGKeys', keyPath: '/k'}), `:1: ${AT}.type: GPG signatures are not supported: ${MUST_TYPE}`],
	['fulcio', signedWith({fulcio: {}}), `:1: ${AT}.fulcio: Fulcio certificates: ${NOT_SUPPORTED}`],
	['pki', signedWith({pki: {}}), `:1: ${AT}.pki: certificates: ${NOT_SUPPORTED}`],
	['a Rekor key', signedWith({keyPath: '/k', rekorPublicKeyPath: '/r'}), `:1: ${AT}.rekorPublicKeyPath: a Rekor log: ${NOT_SUPPORTED}`],
	['no key', signedWith({}), `:1: ${AT}: ${ONE_KEY}`],
	['two sorts of key', signedWith({keyPath: '/k', keyData: DATA}), `:1: ${AT}: ${ONE_KEY}`],
	['no keys in a list', signedWith({keyPaths: []}), `:1: ${AT}.keyPaths: must not be empty`],
	['a relative key path', signedWith({keyPath: 'k.pub'}), `:1: ${AT}.keyPath: must be an absolute path`],
	['key data that is no base64', signedWith({keyData: '???'}), `:1: ${AT}.keyData: must be the base64 of a PEM public key`],
	['key data that is no PEM', signedWith({keyDatas: [DATA, 'AAAA']}), `:1: ${AT}.keyDatas[1]: must hold exactly one PEM block, holds 0`],
	['an unknown identity', signedWith({keyPath: '/k', signedIdentity: {type: 'any'}}), new RegExp(`signedIdentity\\.type: must be one of the identity types`)],
	[
		'an identity without a tag',
		signedWith({keyPath: '/k', signedIdentity: {type: 'exactReference', dockerReference: 'a.io/b'}}),
		/dockerReference: must be an image/,
	],
	[
		'a short prefix',
		signedWith({keyPath: '/k', signedIdentity: {type: 'remapIdentity', prefix: 'busybox', signedPrefix: 'b.io'}}),
		/prefix: must be a registry/,
	],
	[
		'a scope that cannot match',
		{default: [{type: 'reject'}], transports: {docker: {busybox: [{type: 'reject'}]}}},
		/docker\.busybox: no image can match this scope/,
	],
	[
		'a requirement of a transport that is not ours',
		{default: [{type: 'reject'}], transports: {dir: {'': [{type: 'signedBy'}]}}},
		/transports\.dir\.""\[0\]\.type: GPG/,
	],
	['two equal keys', '{"default": [{"type": "reject"}],\n"default": [{"type": "insecureAcceptAnything"}]}', ':2: key "default" comes twice'],
	['what is no JSON', '{"default": [\n{"type": "reject",}\n]}', ':2: Expected double-quoted property name in JSON at position 32 (line 2 column 19)'],
	['what is no JSON, where the parser knows no line', '{"default": [{"type": "reject"},]}', /policy\.json: Unexpected token '\]'/],
	['an array of transports', {default: [{type: 'reject'}], transports: []}, ':1: transports: must be an object'],
	['an array of scopes', {default: [{type: 'reject'}], transports: {docker: []}}, ':1: transports.docker: must be an object'],
	['an array', '[]', ': must be an object'],
	[
		'a deep line',
		'{\n"default": [{"type": "reject"}],\n"transports": {\n"docker": {\n"quay.io": [{\n"type": "rject"}]}}}',
		`:6: transports.docker."quay.io"[0].type: ${MUST_TYPE}`,
	],
] as const) {
	test(`loadPolicy refuses ${what}, naming file, place and rule in one line`, async t => {
		const path = await policyFile(t, content);
		const error = await t.throwsAsync(loadPolicy(path), {instanceOf: InvalidArgumentError});
		t.true(error.message.startsWith(path), error.message);
		t.notRegex(error.message, /\n/);
		if (typeof message === 'string') t.is(error.message, path + message);
		else t.regex(error.message, message);
	});
}

test('loadPolicy refuses a file that is missing, too long, or no file', async t => {
	await t.throwsAsync(loadPolicy('/no/policy.json'), {instanceOf: InvalidArgumentError, message: '/no/policy.json: cannot be read: ENOENT'});
	await t.throwsAsync(loadPolicy('/dev/zero'), {message: '/dev/zero: is not a regular file'});
	const path = await policyFile(t, ' '.repeat((1 << 20) + 1));
	await t.throwsAsync(loadPolicy(path), {message: `${path}: is longer than 1048576 bytes`});
});

test('key files are checked on demand: one that is missing or holds no key is named', async t => {
	const missing = await loadPolicy(await policyFile(t, signedWith({keyPath: '/no/k.pub'})));
	await t.throwsAsync(missing.assertKeysUsable(), {instanceOf: InvalidArgumentError, message: '/no/k.pub: cannot be read: ENOENT'});
	const key = await policyFile(t, 'not a key');
	const broken = await loadPolicy(await policyFile(t, {default: [{type: 'sigstoreSigned', keyPaths: [key]}]}));
	await t.throwsAsync(broken.assertKeysUsable(), {message: `key ${key}: must hold exactly one PEM block, holds 0`});
	const whole = await loadPolicy(await policyFile(t, signedWith({keyPath: await policyFile(t, PEM)})));
	await t.notThrowsAsync(whole.assertKeysUsable());
});

test('toPublicKey takes one public key, and nothing weaker than cosign makes', t => {
	for (const type of ['p256', 'p384', 'ed25519', 'rsa'] as const) t.notThrows(() => toPublicKey(newSigner(type).pem), type);
	const rsa = generateKeyPairSync('rsa', {modulusLength: 2048});
	t.notThrows(() => toPublicKey(rsa.publicKey.export({type: 'pkcs1', format: 'pem'}) as string));
	const weak = generateKeyPairSync('rsa', {modulusLength: 1024}).publicKey.export({type: 'spki', format: 'pem'}) as string;
	const curve = generateKeyPairSync('ec', {namedCurve: 'secp256k1'}).publicKey.export({type: 'spki', format: 'pem'}) as string;
	const priv = rsa.privateKey.export({type: 'pkcs8', format: 'pem'}) as string;
	t.throws(() => toPublicKey(weak), {message: /is rsa 1024$/});
	t.throws(() => toPublicKey(curve), {message: /is ec secp256k1$/});
	t.throws(() => toPublicKey(priv), {message: 'must be a PEM block of type "PUBLIC KEY", is "PRIVATE KEY"'});
	t.throws(() => toPublicKey(PEM + PEM), {message: 'must hold exactly one PEM block, holds 2'});
	t.throws(() => toPublicKey('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'), {message: /^is no public key/});
});
