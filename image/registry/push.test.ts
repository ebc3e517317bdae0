import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {mkdir, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {join} from 'node:path';
import test from 'ava';
import {systemClock} from '../../base/clock.js';
import {CancelledError, CorruptError, InvalidArgumentError, NotFoundError, PermissionDeniedError, UnavailableError} from '../../base/errors.js';
import type {RegistryAuth} from '../image.js';
import {parseReference} from '../reference.js';
import type {ImageTarget} from '../source.js';
import {type Answer, type FakeServer, json, openServer, plain, sha256, temporaryDirectory, toDescriptor, toParts} from './fake-server.js';
import {openRegistryTarget} from './push.js';

const BLOB = randomBytes(300_000);
const never = new AbortController().signal;

/** A registry that takes images; `change` may answer a request in its place (true). */
function taking(stored: Map<string, Buffer>, change: (...request: Parameters<Answer>) => boolean = () => false): Answer {
	return (request, response, index) => {
		if (change(request, response, index)) return;
		const url = new URL(request.url, 'http://registry');
		const digest = url.searchParams.get('digest') ?? url.searchParams.get('mount') ?? url.pathname.split('/').at(-1) ?? '';
		if (request.method === 'HEAD') response.writeHead(stored.has(digest) ? 200 : 404, {'content-length': stored.get(digest)?.length ?? 0}).end();
		else if (request.method === 'POST' && stored.has(`${url.searchParams.get('from')}@${digest}`)) response.writeHead(201).end();
		else if (request.method === 'POST') response.writeHead(202, {location: `/upload/${index}?state=a%2Fb`}).end();
		else if (request.method === 'PUT') {
			const bytes = Buffer.from(request.body, 'latin1');
			const found = sha256(bytes);
			if (url.pathname.startsWith('/upload/') && found !== digest) return json(response, 400, {errors: [{code: 'DIGEST_INVALID'}]});
			stored.set(url.pathname.includes('/manifests/') ? url.pathname : digest, bytes);
			response.writeHead(201, {'docker-content-digest': found}).end();
		} else response.writeHead(405).end();
	};
}

async function openTarget(own: FakeServer, auth: RegistryAuth | null = null, changes: Parameters<typeof toParts>[0] = {}): Promise<ImageTarget> {
	return await openRegistryTarget(parseReference(`${own.host}/a/b:1`), auth, toParts({registries: plain(own.host), ...changes}));
}

async function* inPieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
	for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

test('a blob and a manifest arrive whole', async t => {
	const stored = new Map<string, Buffer>();
	const own = await openServer(t, taking(stored));
	const target = await openTarget(own);
	const descriptor = toDescriptor(BLOB);
	t.false(await target.hasBlob(descriptor, never));
	await target.putBlob(descriptor, () => inPieces(BLOB), null, never);
	t.true(stored.get(descriptor.digest)?.equals(BLOB));
	t.true(await target.hasBlob(descriptor, never));
	t.false(await target.hasBlob({...descriptor, size: 5}, never), 'of another size: not the same');
	const empty = toDescriptor(Buffer.alloc(0));
	await target.putBlob(empty, () => inPieces(Buffer.alloc(0)), null, never);
	t.is(stored.get(empty.digest)?.length, 0);
	await target.putManifest('1', 'application/x', Buffer.from('{}'), never);
	t.is(stored.get('/v2/a/b/manifests/1')?.toString(), '{}');
	const put = own.seen.find(({url}) => url.startsWith('/upload/'));
	t.regex(put?.url ?? '', /^\/upload\/\d+\?state=a%2Fb&digest=sha256%3A/);
	t.is(put?.headers['content-length'], '300000');
	await target.close();
});

test('a blob that another repository has is mounted, nothing is sent; else it is uploaded', async t => {
	const descriptor = toDescriptor(BLOB);
	const stored = new Map([[`other/repo@${descriptor.digest}`, BLOB]]);
	const own = await openServer(t, taking(stored));
	const target = await openTarget(own);
	let opened = 0;
	const open = (): AsyncIterable<Uint8Array> => {
		opened++;
		return inPieces(BLOB);
	};
	await target.putBlob(descriptor, open, 'other/repo', never);
	t.is(opened, 0);
	t.is(own.seen[0]?.url, `/v2/a/b/blobs/uploads/?mount=${encodeURIComponent(descriptor.digest)}&from=other%2Frepo`);
	await target.putBlob(descriptor, open, 'no/such', never);
	t.is(opened, 1);
	t.true(stored.get(descriptor.digest)?.equals(BLOB));
});

test('an upload that fails begins anew, with a new token when that was it', async t => {
	const stored = new Map<string, Buffer>();
	let issued = 0;
	const tokens = await openServer(t, (_, response) => json(response, 200, {token: `tok${++issued}`}));
	let puts = 0;
	const own = await openServer(
		t,
		taking(stored, (request, response) => {
			const authorization = request.headers.authorization ?? '';
			const refuse = (): boolean => {
				json(response, 401, {}, {'www-authenticate': `Bearer realm="${tokens.url}/",scope="repository:a/b:pull,push"`});
				return true;
			};
			if (authorization === '') return refuse();
			if (request.method !== 'PUT') return false;
			puts++;
			if (puts === 1) response.destroy();
			else if (puts === 2) response.writeHead(500).end();
			else if (authorization === 'Bearer tok1') return refuse();
			return puts <= 2;
		}),
	);
	const target = await openTarget(own);
	await target.putBlob(toDescriptor(BLOB), () => inPieces(BLOB), null, never);
	t.is(puts, 4);
	t.is(issued, 2);
	t.is(new URL(tokens.seen[0]?.url ?? '', 'http://t').searchParams.get('scope'), 'repository:a/b:pull,push');
	t.true(stored.get(toDescriptor(BLOB).digest)?.equals(BLOB));
});

test('other bytes than the descriptor says are not sent whole, and not tried again', async t => {
	const stored = new Map<string, Buffer>();
	const own = await openServer(t, taking(stored));
	const target = await openTarget(own);
	const descriptor = toDescriptor(BLOB);
	for (const bytes of [Buffer.from(BLOB.map(byte => byte ^ 1)), BLOB.subarray(1), Buffer.concat([BLOB, BLOB]), Buffer.alloc(0)]) {
		await t.throwsAsync(
			target.putBlob(descriptor, () => inPieces(bytes), null, never),
			{instanceOf: CorruptError, message: /^blob to push /},
		);
	}
	const broken = async function* (): AsyncGenerator<Uint8Array> {
		yield BLOB.subarray(0, 10);
		throw new CorruptError('disk says no');
	};
	await t.throwsAsync(target.putBlob(descriptor, broken, null, never), {instanceOf: CorruptError, message: 'disk says no'});
	t.is(stored.size, 0);
	await t.throwsAsync(target.putManifest(`sha256:${'0'.repeat(64)}`, 'x', Buffer.from('{}'), never), {instanceOf: CorruptError});
});

test('what a registry may answer wrongly', async t => {
	const descriptor = toDescriptor(BLOB);
	const cases: readonly [string, (...request: Parameters<Answer>) => boolean, new (message: string) => Error, RegExp][] = [
		['denied', (_, response) => (json(response, 403, {errors: [{code: 'DENIED'}]}), true), PermissionDeniedError, /answers 403 DENIED/],
		[
			'nowhere',
			({method}, response) => method === 'POST' && (response.writeHead(202).end(), true),
			PermissionDeniedError,
			/redirects to "", which is no http URL/,
		],
		[
			'a file',
			({method}, response) => method === 'POST' && (response.writeHead(202, {location: 'file:///x'}).end(), true),
			PermissionDeniedError,
			/no http URL/,
		],
		[
			'refused',
			({method}, response) => method === 'PUT' && (json(response, 400, {errors: [{code: 'SIZE_INVALID'}]}), true),
			UnavailableError,
			/answers 400 SIZE_INVALID/,
		],
		[
			'another digest',
			({method}, response) => method === 'PUT' && (response.writeHead(201, {'docker-content-digest': `sha256:${'0'.repeat(64)}`}).end(), true),
			CorruptError,
			/says that it is sha256:0000/,
		],
	];
	for (const [what, change, instanceOf, message] of cases) {
		const own = await openServer(t, taking(new Map(), change));
		const target = await openTarget(own);
		const error = await t.throwsAsync(
			target.putBlob(descriptor, () => inPieces(BLOB), null, never),
			{instanceOf, message},
			what,
		);
		t.true(error.message.startsWith(`blob ${descriptor.digest} of ${own.host}/a/b: ${own.host}: `), error.message);
	}
});

test("an upload URL on another host gets the blob, not the registry's credentials", async t => {
	const storage = await openServer(t, (_, response) => response.writeHead(201).end());
	const auth = {username: 'u', password: 'p', auth: '', serverAddress: '', identityToken: '', registryToken: ''};
	const own = await openServer(t, (request, response) => {
		if (request.headers.authorization === undefined) json(response, 401, {}, {'www-authenticate': 'Basic realm="r"'});
		else response.writeHead(202, {location: `${storage.url}/put?sig=1`}).end();
	});
	await (await openTarget(own, auth)).putBlob(toDescriptor(BLOB), () => inPieces(BLOB), null, never);
	t.is(storage.seen[0]?.headers.authorization, undefined);
	t.is(storage.seen[0]?.body.length, BLOB.length);
});

test('a registry that takes nothing is a stall', async t => {
	const large = Buffer.alloc(24 << 20);
	let puts = 0;
	// What nobody reads fills the socket's buffers.
	const server = createServer((request, response) => {
		if (request.method === 'POST') response.writeHead(202, {location: '/upload'}).end();
		else puts++;
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		server.close();
		server.closeAllConnections();
	});
	const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	const target = await openRegistryTarget(parseReference(`${host}/a:1`), null, toParts({registries: plain(host), stallTimeoutMs: 300}));
	await t.throwsAsync(
		target.putBlob(toDescriptor(large), () => inPieces(large), null, never),
		{instanceOf: UnavailableError, message: /stalls: no byte for 300 ms/},
	);
	t.is(puts, 4);
});

test('a source that takes its time is no stall, and cancelling ends an upload', async t => {
	const stored = new Map<string, Buffer>();
	const own = await openServer(t, taking(stored));
	const slow = async function* (): AsyncGenerator<Uint8Array> {
		for await (const piece of inPieces(BLOB)) {
			await systemClock.sleep(100);
			yield piece;
		}
	};
	const patient = await openTarget(own, null, {stallTimeoutMs: 200});
	await patient.putBlob(toDescriptor(BLOB), slow, null, never);
	t.is(stored.size, 1);
	const abort = new AbortController();
	const hanging = async function* (): AsyncGenerator<Uint8Array> {
		yield BLOB.subarray(0, 10);
		abort.abort();
		yield BLOB.subarray(10);
	};
	await t.throwsAsync(patient.putBlob(toDescriptor(BLOB), hanging, null, abort.signal), {instanceOf: CancelledError});
});

test('only a host with the capability to take images is pushed to', async t => {
	const stored = new Map<string, Buffer>();
	const mirror = await openServer(t, taking(new Map()));
	const own = await openServer(t, taking(stored));
	const registryConfigDir = await temporaryDirectory(t);
	await mkdir(join(registryConfigDir, own.host));
	const write = async (toml: string): Promise<void> => await writeFile(join(registryConfigDir, own.host, 'hosts.toml'), toml);
	await write(`server = "${own.url}"\n[host."${mirror.url}"]\ncapabilities = ["pull", "resolve"]\n`);
	const target = await openRegistryTarget(parseReference(`${own.host}/a:1`), null, toParts({registryConfigDir}));
	await target.putManifest('1', 'x', Buffer.from('{}'), never);
	t.deepEqual([mirror.seen.length, stored.size], [0, 1]);
	await write(`server = "${own.url}"\ncapabilities = ["pull"]\n`);
	const none = openRegistryTarget(parseReference(`${own.host}/a:1`), null, toParts({registryConfigDir}));
	await t.throwsAsync(none, {instanceOf: InvalidArgumentError, message: `${own.host}: none of its configured hosts has the capability "push"`});
	// A host that fails is not replaced by the next one: an image must not be pushed by halves.
	const failing = await openServer(t, (_, response) => response.writeHead(404).end());
	await write(`server = "${own.url}"\n[host."${failing.url}"]\n`);
	const before = own.seen.length;
	const half = await openRegistryTarget(parseReference(`${own.host}/a:1`), null, toParts({registryConfigDir}));
	await t.throwsAsync(half.putManifest('1', 'x', Buffer.from('{}'), never), {instanceOf: NotFoundError});
	t.is(own.seen.length, before);
});
