import test from 'ava';
import {UnavailableError} from '../../base/errors.js';
import {digestOf} from '../manifest.js';
import {parseReference} from '../reference.js';
import {ask, IMAGE, INDEX, isAllowed, keyed, MANIFEST} from './fake-policy.js';
import {FakeSignatures, newSigner, signed, toPayload} from './fake-signatures.js';
import {SignatureRefusedError} from './policy.js';
import {toPublicKey} from './public-key.js';
import {findFault} from './verify.js';

const SIGNER = newSigner();
const OTHER = newSigner();
const REJECT = {type: 'reject'};

for (const type of ['p256', 'p384', 'ed25519', 'rsa'] as const) {
	test(`a signature by a key of ${type} is accepted, and no other key's`, async t => {
		const signer = newSigner(type);
		const source = new FakeSignatures();
		source.attach(INDEX, [signed(signer, toPayload(INDEX, IMAGE))]);
		t.true(await isAllowed(t, {default: [keyed([signer])]}, {source}));
		t.false(await isAllowed(t, {default: [keyed([newSigner(type)])]}, {source}));
		t.false(await isAllowed(t, {default: [keyed([SIGNER])]}, {source}));
	});
}

test("the index or this machine's manifest is signed: either is enough", async t => {
	for (const digest of [INDEX, MANIFEST]) {
		const source = new FakeSignatures();
		source.attach(digest, [signed(SIGNER, toPayload(digest, IMAGE))]);
		t.true(await isAllowed(t, {default: [keyed([SIGNER])]}, {source}), digest);
	}
});

test('any one key of a requirement is enough; one good signature among bad ones is enough', async t => {
	const source = new FakeSignatures();
	const good = signed(SIGNER, toPayload(INDEX, IMAGE));
	source.attach(INDEX, [{...good, signature: ''}, {...good, mediaType: 'application/vnd.dsse.envelope.v1+json'}, signed(OTHER, toPayload(INDEX, IMAGE)), good]);
	t.true(await isAllowed(t, {default: [keyed([newSigner(), SIGNER])]}, {source}));
});

test('all requirements must hold, and what one fetched the next does not fetch again', async t => {
	const both = {default: [keyed([SIGNER]), keyed([OTHER])]};
	const source = new FakeSignatures();
	source.attach(INDEX, [signed(SIGNER, toPayload(INDEX, IMAGE))]);
	t.false(await isAllowed(t, both, {source}));
	source.attach(INDEX, [signed(SIGNER, toPayload(INDEX, IMAGE)), {...signed(OTHER, Buffer.from(`${String(toPayload(INDEX, IMAGE))} `))}]);
	source.asked.length = 0;
	t.true(await isAllowed(t, both, {source}));
	t.is(new Set(source.asked).size, source.asked.length);
	t.false(await isAllowed(t, {default: [keyed([SIGNER]), REJECT]}, {source}));
});

test('no signature: the message says which tags were looked at', async t => {
	await t.throwsAsync(ask(t, {default: [keyed([SIGNER])]}), {
		message: new RegExp(`a signature is required, and none is there \\(tag ${INDEX.replace(':', '-')}\\.sig or ${MANIFEST.replace(':', '-')}\\.sig\\)$`),
	});
});

test('a signature of another manifest is not accepted for this one', async t => {
	const source = new FakeSignatures();
	source.attach(INDEX, [signed(SIGNER, toPayload(digestOf(Buffer.from('older')), IMAGE))]);
	await t.throwsAsync(ask(t, {default: [keyed([SIGNER])]}, {source}), {instanceOf: SignatureRefusedError, message: /signs another manifest, "sha256:/});
});

test('a signature of another repository or tag is not accepted', async t => {
	for (const claimed of ['quay.io/x/other:1', 'quay.io/x/y:2', 'evil.io/x/y:1', 'quay.io/x/y']) {
		const source = new FakeSignatures();
		source.attach(INDEX, [signed(SIGNER, toPayload(INDEX, claimed))]);
		await t.throwsAsync(ask(t, {default: [keyed([SIGNER])]}, {source}), {
			message: new RegExp(`is for "${claimed}", which matchRepoDigestOrExact does not accept$`),
		});
	}
	const source = new FakeSignatures();
	source.attach(INDEX, [signed(SIGNER, toPayload(INDEX, 'quay.io/x/y'))]);
	t.true(await isAllowed(t, {default: [keyed([SIGNER], {signedIdentity: {type: 'matchRepository'}})]}, {source}));
});

test('a payload changed after it was signed is not accepted, whether or not its digest was changed with it', async t => {
	const good = signed(SIGNER, toPayload(MANIFEST, IMAGE));
	const changed = toPayload(INDEX, IMAGE);
	const source = new FakeSignatures();
	source.attach(INDEX, [{...good, payload: changed}]);
	await t.throwsAsync(ask(t, {default: [keyed([SIGNER])]}, {source}), {message: /not made by a key of the policy/});
	source.attach(INDEX, [{...good, payload: changed, digest: digestOf(good.payload)}]);
	await t.throwsAsync(ask(t, {default: [keyed([SIGNER])]}, {source}), {message: /payload has digest sha256:/});
});

test('no byte of payload or signature can be changed', async t => {
	const {payload, signature} = signed(SIGNER, toPayload(INDEX, IMAGE));
	const whole = {payload, signature: Buffer.from(signature, 'base64')};
	const wanted = {keys: [toPublicKey(SIGNER.pem)], identity: {type: 'matchExact'}, image: parseReference(IMAGE)} as const;
	t.is(await findFault({digest: INDEX, ...whole}, wanted), null);
	for (const part of ['payload', 'signature'] as const) {
		for (let index = 0; index < whole[part].length; index++) {
			const changed = Buffer.from(whole[part]);
			changed[index] = (changed[index] ?? 0) ^ (1 << (index % 8));
			t.is(await findFault({digest: INDEX, ...whole, [part]: changed}, wanted), 'not made by a key of the policy', `${part} ${index}`);
		}
		for (const cut of [whole[part].subarray(1), whole[part].subarray(0, -1), Buffer.alloc(0), Buffer.concat([whole[part], Buffer.alloc(1)])])
			t.not(await findFault({digest: INDEX, ...whole, [part]: cut}, wanted), null);
	}
});

test('a signed statement of another form is not accepted', async t => {
	const critical = {type: 'cosign container image signature', image: {'docker-manifest-digest': INDEX}, identity: {'docker-reference': IMAGE}};
	const source = new FakeSignatures();
	const forms: readonly (object | string)[] = [
		'no JSON',
		'[]',
		{},
		{critical: {...critical, type: 'atomic container signature'}, optional: {}},
		{critical: {...critical, note: 'another key'}, optional: {}},
		{critical: {...critical, image: {...critical.image, also: 1}}, optional: {}},
		{critical: {...critical, identity: {}}, optional: {}},
		{critical: {...critical, image: {'docker-manifest-digest': [INDEX]}}, optional: {}},
		{critical, optional: {}, more: 1},
		`{"critical": ${JSON.stringify({...critical, image: {}})}, "critical": ${JSON.stringify(critical)}, "optional": {}}`,
	];
	for (const form of forms) {
		source.attach(INDEX, [signed(SIGNER, Buffer.from(typeof form === 'string' ? form : JSON.stringify(form)))]);
		await t.throwsAsync(ask(t, {default: [keyed([SIGNER])]}, {source}), {instanceOf: SignatureRefusedError, message: /its payload is/}, JSON.stringify(form));
	}
	source.attach(INDEX, [signed(SIGNER, Buffer.from(JSON.stringify({critical, optional: {creator: 'x', timestamp: 1}})))]);
	t.true(await isAllowed(t, {default: [keyed([SIGNER])]}, {source}));
});

test('a signature manifest that is none, or holds too much, is a refusal', async t => {
	const content = {default: [keyed([SIGNER])]};
	const good = signed(SIGNER, toPayload(INDEX, IMAGE));
	const source = new FakeSignatures();
	for (const bytes of ['', '[]', '{}', '{"manifests": []}', '{"mediaType": "application/vnd.oci.image.index.v1+json", "layers": []}']) {
		source.manifests.set(`${INDEX.replace(':', '-')}.sig`, Buffer.from(bytes));
		t.false(await isAllowed(t, content, {source}), bytes);
	}
	source.attach(INDEX, [{...good, size: 300_000}]);
	await t.throwsAsync(ask(t, content, {source}), {message: /payload of 300000 bytes is longer than 262144/});
	source.attach(INDEX, [{...good, size: 20}]);
	await t.throwsAsync(ask(t, content, {source}), {message: /payload is longer than its size 20/});
	source.attach(
		INDEX,
		Array.from({length: 129}, () => good),
	);
	await t.throwsAsync(ask(t, content, {source}), {message: /129 signatures are attached, at most 128/});
	source.attach(
		INDEX,
		Array.from({length: 9}, () => ({...good, signature: '!'})),
	);
	await t.throwsAsync(ask(t, content, {source}), {message: /is missing or malformed \(and 5 more\)$/});
});

test('a registry that cannot be asked for signatures is no refusal: the pull may be tried again', async t => {
	const source = new FakeSignatures();
	source.manifest = async () => {
		throw new UnavailableError('down');
	};
	await t.throwsAsync(ask(t, {default: [keyed([SIGNER])]}, {source}), {instanceOf: UnavailableError});
});
