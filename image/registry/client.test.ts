import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {CancelledError, CorruptError, InvalidArgumentError, NotFoundError, PermissionDeniedError, UnavailableError} from '../../base/errors.js';
import {parseReference} from '../reference.js';
import {RegistrySource} from './client.js';
import {collectAll, DEAD_HOST, json, openServer, plain, sha256, temporaryDirectory, toDescriptor, toParts} from './fake-server.js';

const MANIFEST = Buffer.from('{"schemaVersion":2}');
const never = new AbortController().signal;

test('a tag is asked for at the mirror, which is told the registry, and not at the registry', async t => {
	const mirror = await openServer(t, (_, response) => response.end(MANIFEST));
	const own = await openServer(t, (_, response) => response.end('{}'));
	const source = await RegistrySource.open(parseReference(`${own.host}/a/b:1`), null, toParts({registries: plain(own.host, [mirror.url])}));
	t.deepEqual(Buffer.from(await source.manifest('1', never)), MANIFEST);
	t.is(mirror.seen[0]?.url, `/v2/a/b/manifests/1?ns=${encodeURIComponent(own.host)}`);
	t.regex(mirror.seen[0]?.headers.accept ?? '', /application\/vnd\.oci\.image\.index\.v1\+json/);
	t.is(own.seen.length, 0);
	await source.close();
});

test('a mirror that is down, says 404, or sends garbage is passed over', async t => {
	const garbage = await openServer(t, (_, response) => response.end('<html>Sign in to Wi-Fi</html>'));
	const missing = await openServer(t, (_, response) => json(response, 404, {errors: [{code: 'MANIFEST_UNKNOWN'}]}));
	const own = await openServer(t, (_, response) => response.end(MANIFEST));
	const mirrors = [`http://${DEAD_HOST}`, missing.url, garbage.url];
	const heard: unknown[] = [];
	const log = {debug: (entry: unknown) => void heard.push('debug', entry), warn: (entry: unknown) => void heard.push('warn', entry)};
	const source = await RegistrySource.open(parseReference(`${own.host}/a:1`), null, {...toParts({registries: plain(own.host, mirrors)}), log});
	t.deepEqual(Buffer.from(await source.manifest('1', never)), MANIFEST);
	t.is(own.seen[0]?.url, '/v2/a/manifests/1');
	t.like(heard, ['warn', {host: DEAD_HOST}, 'debug', {host: missing.host, reason: 'answers 404 MANIFEST_UNKNOWN'}, 'warn', {host: garbage.host}]);
});

test('a mirror that has other bytes for a digest is passed over', async t => {
	const mirror = await openServer(t, (_, response) => response.end('{"schemaVersion":2,"other":true}'));
	const own = await openServer(t, (_, response) => response.end(MANIFEST));
	const digest = sha256(MANIFEST);
	const source = await RegistrySource.open(parseReference(`${own.host}/a@${digest}`), null, toParts({registries: plain(own.host, [mirror.url])}));
	t.deepEqual(Buffer.from(await source.manifest(digest, never)), MANIFEST);
	t.is(mirror.seen.length, 1);
});

test('other bytes than the digest from everybody are an error that names each host', async t => {
	const mirror = await openServer(t, (_, response) => response.end('{}'));
	const own = await openServer(t, (_, response) => response.end('{"x":1}'));
	const digest = sha256(MANIFEST);
	const source = await RegistrySource.open(parseReference(`${own.host}/a@${digest}`), null, toParts({registries: plain(own.host, [mirror.url])}));
	const error = await t.throwsAsync(source.manifest(digest, never), {instanceOf: CorruptError});
	t.true(
		error.message.includes(`${mirror.host}: sends a manifest with digest ${sha256(Buffer.from('{}'))}, must be ${digest}; ${own.host}: sends`),
		error.message,
	);
});

test('a digest that the registry says beside other bytes is not believed', async t => {
	const own = await openServer(t, (_, response) => response.setHeader('docker-content-digest', `sha256:${'0'.repeat(64)}`).end(MANIFEST));
	const source = await RegistrySource.open(parseReference(`${own.host}/a:1`), null, toParts({registries: plain(own.host)}));
	await t.throwsAsync(source.manifest('1', never), {instanceOf: CorruptError, message: /says that it is sha256:0000/});
});

test('what the registry says of an image counts, with each host in the message', async t => {
	const dead = `http://${DEAD_HOST}`;
	const own = await openServer(t, ({url}, response) => json(response, url.includes('denied') ? 403 : 404, {errors: [{code: 'NO_SUCH_THING'}]}));
	const open = (name: string) => RegistrySource.open(parseReference(`${own.host}/${name}:1`), null, toParts({registries: plain(own.host, [dead])}));
	const missing = await t.throwsAsync((await open('missing')).manifest('1', never), {instanceOf: NotFoundError});
	t.regex(missing.message, new RegExp(`/missing:1" not found \\(${dead.slice(7)}: ECONNREFUSED .*; ${own.host}: answers 404 NO_SUCH_THING\\)`));
	const denied = await t.throwsAsync((await open('denied')).manifest('1', never), {instanceOf: PermissionDeniedError});
	t.regex(denied.message, /answers 403 NO_SUCH_THING/);
});

test("a mirror's 404 counts where the registry itself cannot be reached", async t => {
	const mirror = await openServer(t, (_, response) => json(response, 404, {}));
	const dead = DEAD_HOST;
	const source = await RegistrySource.open(parseReference(`${dead}/a:1`), null, toParts({registries: plain(dead, [mirror.url])}));
	await t.throwsAsync(source.manifest('1', never), {instanceOf: NotFoundError});
	t.is(mirror.seen.length, 1, 'neither is asked again');
});

test('a registry that is overloaded is asked again, after the time that it asks for', async t => {
	const own = await openServer(t, (_, response, index) => {
		if (index === 0) response.writeHead(429, {'retry-after': '1'}).end();
		else if (index === 1) response.writeHead(503).end();
		else response.end(MANIFEST);
	});
	const source = await RegistrySource.open(parseReference(`${own.host}/a:1`), null, toParts({registries: plain(own.host)}));
	t.deepEqual(Buffer.from(await source.manifest('1', never)), MANIFEST);
	const [first, second] = own.seen;
	t.true((second?.atMs ?? 0) - (first?.atMs ?? 0) >= 900, 'it waited');
});

test('a server error is tried four times, another refusal once', async t => {
	const own = await openServer(t, ({url}, response) => json(response, url.includes('broken') ? 500 : 418, {}));
	const open = (name: string) => RegistrySource.open(parseReference(`${own.host}/${name}:1`), null, toParts({registries: plain(own.host)}));
	await t.throwsAsync((await open('broken')).manifest('1', never), {instanceOf: UnavailableError, message: `${own.host}/broken:1: ${own.host}: answers 500`});
	t.is(own.seen.length, 4);
	await t.throwsAsync((await open('teapot')).manifest('1', never), {instanceOf: UnavailableError, message: /answers 418/});
	t.is(own.seen.length, 5);
});

test('a mirror without the capability to resolve is asked for digests only, with its own headers', async t => {
	const mirror = await openServer(t, (_, response) => response.end(MANIFEST));
	const own = await openServer(t, (_, response) => response.end(MANIFEST));
	const registryConfigDir = await temporaryDirectory(t);
	await mkdir(join(registryConfigDir, own.host));
	const toml = `server = "${own.url}"\n[host."${mirror.url}/proxy"]\ncapabilities = ["pull"]\n[host."${mirror.url}/proxy".header]\nx-mine = ["a", "b"]\n`;
	await writeFile(join(registryConfigDir, own.host, 'hosts.toml'), toml);
	const source = await RegistrySource.open(parseReference(`${own.host}/a:1`), null, toParts({registryConfigDir}));
	await source.manifest('1', never);
	t.is(mirror.seen.length, 0);
	await source.manifest(sha256(MANIFEST), never);
	t.regex(mirror.seen[0]?.url ?? '', /^\/proxy\/v2\/a\/manifests\/sha256:/);
	t.is(mirror.seen[0]?.headers['x-mine'], 'a, b');
	t.is(own.seen.length, 1);
	t.is(own.seen[0]?.headers['x-mine'], undefined);
	await writeFile(join(registryConfigDir, own.host, 'hosts.toml'), `[host."${mirror.url}"]\nnonsense = 1\n`);
	const broken = RegistrySource.open(parseReference(`${own.host}/a:1`), null, toParts({registryConfigDir}));
	await t.throwsAsync(broken, {instanceOf: InvalidArgumentError, message: /hosts\.toml: host\.http:.*nonsense: unknown key/});
});

test('cancelling ends a request, a pause between tries and a body at once', async t => {
	const waiting = await openServer(t, () => {});
	const busy = await openServer(t, (_, response) => response.writeHead(429, {'retry-after': '60'}).end());
	const slow = await openServer(t, (_, response) => response.writeHead(200, {'content-length': 100_000}).write('x'));
	for (const server of [waiting, busy]) {
		const abort = new AbortController();
		const source = await RegistrySource.open(parseReference(`${server.host}/a:1`), null, toParts({registries: plain(server.host)}));
		const pulled = source.manifest('1', abort.signal);
		while (server.seen.length === 0) await new Promise(resolve => setImmediate(resolve));
		abort.abort();
		await t.throwsAsync(pulled, {instanceOf: CancelledError});
	}
	const source = await RegistrySource.open(parseReference(`${slow.host}/a:1`), null, toParts({registries: plain(slow.host)}));
	const read = collectAll(source.blob(toDescriptor(Buffer.alloc(100_000)), never));
	while (slow.seen.length === 0) await new Promise(resolve => setImmediate(resolve));
	await source.close();
	await t.throwsAsync(read, {instanceOf: CancelledError});
});

test('connections outlive a pull', async t => {
	const own = await openServer(t, (_, response) => response.end(MANIFEST));
	const parts = toParts({registries: plain(own.host)});
	for (let pull = 0; pull < 3; pull++) {
		const source = await RegistrySource.open(parseReference(`${own.host}/a:1`), null, parts);
		await source.manifest('1', never);
		await source.close();
	}
	t.is(own.connections(), 1);
});
