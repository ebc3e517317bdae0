import {rm, writeFile} from 'node:fs/promises';
import test from 'ava';
import {PermissionDeniedError} from '../../base/errors.js';
import {silentLog} from '../../base/log.js';
import {parseReference} from '../reference.js';
import {ask, fileWith, IMAGE, INDEX, isAllowed, keyed} from './fake-policy.js';
import {FakeSignatures, newSigner, signed, toPayload} from './fake-signatures.js';
import {PolicyFile} from './policy-file.js';
import {loadPolicy, SignatureRefusedError} from './policy.js';

const SIGNER = newSigner();
const OTHER = newSigner();
const ACCEPT = {type: 'insecureAcceptAnything'};
const REJECT = {type: 'reject'};

test('accept accepts and reject refuses, without asking the registry for anything', async t => {
	const source = new FakeSignatures();
	await ask(t, {default: [ACCEPT]}, {source});
	const error = await t.throwsAsync(ask(t, {default: [REJECT]}, {source}), {
		instanceOf: SignatureRefusedError,
		message: /^quay\.io\/x\/y:1: .*: default: the policy rejects it$/,
	});
	t.true(error instanceof PermissionDeniedError);
	t.deepEqual(source.asked, []);
});

test('only the most specific scope counts, then the transport\'s "", then the default', async t => {
	const scopes = ['quay.io/x/y:1', 'quay.io/x/y', 'quay.io/x', 'quay.io', '*.io', ''];
	for (const [index, scope] of scopes.entries()) {
		const wider = Object.fromEntries(scopes.slice(index + 1).map(other => [other, [REJECT]]));
		t.true(await isAllowed(t, {default: [REJECT], transports: {docker: {[scope]: [ACCEPT], ...wider}}}, {}), scope);
		const widerAccept = Object.fromEntries(scopes.slice(index + 1).map(other => [other, [ACCEPT]]));
		t.false(await isAllowed(t, {default: [ACCEPT], transports: {docker: {[scope]: [REJECT], ...widerAccept}}}, {}), scope);
	}
	const beside = {'quay.io/x/z': [REJECT], 'quay.io/x/y:2': [REJECT], 'quay.io/x/yy': [REJECT], 'quay.io/': undefined, '*.example.io': [REJECT]};
	t.true(await isAllowed(t, {default: [ACCEPT], transports: {docker: beside, atomic: {'': [REJECT]}}}, {}));
});

test('archives go by their own transports', async t => {
	const transports = {'docker-archive': {'': [ACCEPT]}, 'oci-archive': {'/srv': [ACCEPT]}, docker: {'': [REJECT]}};
	const content = {default: [REJECT], transports};
	t.true(await isAllowed(t, content, {origin: {transport: 'docker-archive', path: '/a.tar'}}));
	t.true(await isAllowed(t, content, {origin: {transport: 'oci-archive', path: '/srv/a.tar'}}));
	t.false(await isAllowed(t, content, {origin: {transport: 'oci-archive', path: '/a.tar'}}));
	t.false(await isAllowed(t, content, {origin: {transport: 'oci', path: '/srv/a'}}));
	const origin = {transport: 'oci', path: '/srv/a'} as const;
	await t.throwsAsync(ask(t, {default: [keyed([SIGNER])]}, {origin}), {message: /^\/srv\/a: .*default: a signature is required, and an archive holds none$/});
});

test('key files are read at each use; one that cannot be used refuses the images of its scope, and only these', async t => {
	const key = await fileWith(t, OTHER.pem);
	const path = await fileWith(t, JSON.stringify({default: [ACCEPT], transports: {docker: {'quay.io': [{type: 'sigstoreSigned', keyPath: key}]}}}));
	const source = new FakeSignatures();
	source.attach(INDEX, [signed(SIGNER, toPayload(INDEX, IMAGE))]);
	const policy = await loadPolicy(path);
	const request = (image: string) => ({
		origin: {transport: 'docker', reference: parseReference(image)} as const,
		digests: [INDEX],
		source,
		signal: new AbortController().signal,
	});
	await t.throwsAsync(policy.assertAllowed(request(IMAGE)), {instanceOf: SignatureRefusedError});
	await writeFile(key, SIGNER.pem);
	await t.notThrowsAsync(policy.assertAllowed(request(IMAGE)));
	await rm(key);
	await t.throwsAsync(policy.assertAllowed(request(IMAGE)), {
		instanceOf: SignatureRefusedError,
		message: new RegExp(`"quay.io": ${key}: cannot be read: ENOENT$`),
	});
	await t.notThrowsAsync(policy.assertAllowed(request('gcr.io/x:1')));
});

test('PolicyFile: no file accepts all; an edit counts at once; a file that cannot be used refuses all, and is logged when the store opens', async t => {
	const logged: unknown[] = [];
	const log = {...silentLog, error: (...args: unknown[]) => void logged.push(args)} as typeof silentLog;
	const request = {
		origin: {transport: 'docker', reference: parseReference(IMAGE)} as const,
		digests: [INDEX],
		source: new FakeSignatures(),
		signal: new AbortController().signal,
	};
	await t.notThrowsAsync((await PolicyFile.open(null, log)).assertAllowed(request));
	t.is(logged.length, 0);
	const path = await fileWith(t, '{');
	const file = await PolicyFile.open(path, log);
	t.is(logged.length, 1);
	await t.throwsAsync(file.assertAllowed(request), {
		instanceOf: SignatureRefusedError,
		message: new RegExp(`^the signature policy cannot be used: ${path}:1: `),
	});
	await writeFile(path, JSON.stringify({default: [ACCEPT]}));
	await t.notThrowsAsync(file.assertAllowed(request));
	await writeFile(path, JSON.stringify({default: [REJECT]}));
	await t.throwsAsync(file.assertAllowed(request), {message: /the policy rejects it/});
	await rm(path);
	await t.throwsAsync(file.assertAllowed(request), {message: new RegExp(`${path}: cannot be read: ENOENT`)});
});
