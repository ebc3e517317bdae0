import {mkdir, writeFile} from 'node:fs/promises';
import {connect, type Socket} from 'node:net';
import {createServer} from 'node:http';
import {once} from 'node:events';
import type {AddressInfo} from 'node:net';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {InvalidArgumentError, PermissionDeniedError, UnavailableError} from '../../base/errors.js';
import type {RegistryAuth} from '../image.js';
import {parseReference} from '../reference.js';
import {RegistrySource} from './client.js';
import {CA_PEM, CLIENT_CERT_PEM, CLIENT_KEY_PEM, SERVER_CERT_PEM, SERVER_KEY_PEM} from './fake-certificates.js';
import {type Answer, type FakeServer, json, openServer, plain, temporaryDirectory, toParts} from './fake-server.js';
import type {RegistryParts} from './repository.js';

const MANIFEST = Buffer.from('{"schemaVersion":2}');
const SERVER = {cert: SERVER_CERT_PEM, key: SERVER_KEY_PEM};
const never = new AbortController().signal;
const answerManifest: Answer = (_, response) => response.end(MANIFEST);

/** A config directory whose hosts.toml for the server is `toml` ("DIR" = its directory), beside PEM files. */
async function configure(t: ExecutionContext, host: string, toml: string): Promise<string> {
	const registryConfigDir = await temporaryDirectory(t);
	const dir = join(registryConfigDir, host);
	await mkdir(dir);
	await writeFile(join(dir, 'ca.pem'), CA_PEM);
	await writeFile(join(dir, 'client.cert.pem'), CLIENT_CERT_PEM);
	await writeFile(join(dir, 'client.key.pem'), CLIENT_KEY_PEM);
	await writeFile(join(dir, 'both.pem'), CLIENT_CERT_PEM + CLIENT_KEY_PEM);
	await writeFile(join(dir, 'hosts.toml'), toml);
	return registryConfigDir;
}

async function pull(parts: RegistryParts, host: string, auth: RegistryAuth | null = null): Promise<Uint8Array> {
	const source = await RegistrySource.open(parseReference(`${host}/a:1`), auth, parts);
	return await source.manifest('1', never);
}

test('a CA of hosts.toml is trusted, none is not, and skip_verify trusts all', async t => {
	const own = await openServer(t, answerManifest, SERVER);
	const server = `server = "${own.url}"\n`;
	t.truthy(await pull(toParts({registryConfigDir: await configure(t, own.host, `${server}ca = "ca.pem"`)}), own.host));
	t.truthy(await pull(toParts({registryConfigDir: await configure(t, own.host, `${server}skip_verify = true`)}), own.host));
	const without = pull(toParts({registryConfigDir: await configure(t, own.host, server)}), own.host);
	await t.throwsAsync(without, {instanceOf: UnavailableError, message: /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED/});
	t.is(own.seen.length, 2);
});

for (const client of ['[["client.cert.pem", "client.key.pem"]]', '"both.pem"', '["both.pem"]', '[["both.pem", ""]]']) {
	test(`a client certificate is shown: client = ${client}`, async t => {
		const own = await openServer(t, answerManifest, {...SERVER, ca: CA_PEM, requestCert: true, rejectUnauthorized: true});
		const toml = `server = "${own.url}"\nca = "ca.pem"\nclient = ${client}\n`;
		t.truthy(await pull(toParts({registryConfigDir: await configure(t, own.host, toml)}), own.host));
		await t.throwsAsync(pull(toParts({registryConfigDir: await configure(t, own.host, `server = "${own.url}"\nca = "ca.pem"`)}), own.host), {
			instanceOf: UnavailableError,
		});
	});
}

test('neither client certificate, header nor credentials go to another host', async t => {
	const shown: boolean[] = [];
	const other = await openServer(
		t,
		(request, response) => {
			shown.push(request.headers['x-secret'] !== undefined || request.headers.authorization !== undefined);
			response.end(MANIFEST);
		},
		{...SERVER, ca: CA_PEM, requestCert: true, rejectUnauthorized: true},
	);
	const own = await openServer(t, (_, response) => response.writeHead(302, {location: `${other.url}/x`}).end(), SERVER);
	const toml = `server = "${own.url}"\nca = "ca.pem"\nclient = "both.pem"\n[header]\nx-secret = "s"\n`;
	// The other host asks for a certificate and gets none.
	await t.throwsAsync(pull(toParts({registryConfigDir: await configure(t, own.host, toml)}), own.host), {instanceOf: UnavailableError});
	const open = await openServer(
		t,
		(request, response) => {
			shown.push(request.headers['x-secret'] !== undefined || request.headers.authorization !== undefined);
			response.end(MANIFEST);
		},
		SERVER,
	);
	const again = await openServer(t, (_, response) => response.writeHead(302, {location: `${open.url}/x`}).end(), SERVER);
	const redirected = toml.replace(own.url, again.url);
	t.truthy(await pull(toParts({registryConfigDir: await configure(t, again.host, redirected)}), again.host));
	t.deepEqual(shown, [false]);
	t.is(again.seen[0]?.headers['x-secret'], 's');
});

test('PEM files that are none are named', async t => {
	const own = await openServer(t, answerManifest, SERVER);
	for (const [line, file] of [
		['ca = "missing.pem"', 'missing.pem'],
		['ca = "hosts.toml"', 'hosts.toml'],
		['client = "ca.pem"', 'ca.pem'],
	] as const) {
		const registryConfigDir = await configure(t, own.host, `server = "${own.url}"\n${line}\n`);
		const error = await t.throwsAsync(pull(toParts({registryConfigDir}), own.host), {instanceOf: InvalidArgumentError});
		t.true(error.message.includes(join(registryConfigDir, own.host, file)), error.message);
	}
});

test('redirects and token requests do not leave https', async t => {
	const clear = await openServer(t, (_, response) => json(response, 200, {token: 't'}));
	const own = await openServer(
		t,
		(request, response) => {
			if (request.url.includes('/b/')) response.writeHead(302, {location: `${clear.url}/x`}).end();
			else json(response, 401, {}, {'www-authenticate': `Bearer realm="${clear.url}/token"`});
		},
		SERVER,
	);
	const parts = toParts({registryConfigDir: await configure(t, own.host, `server = "${own.url}"\nca = "ca.pem"`)});
	await t.throwsAsync(pull(parts, `${own.host}/b`), {instanceOf: PermissionDeniedError, message: /redirects from https to plain http/});
	const auth = {username: 'u', password: 'p', auth: '', serverAddress: '', identityToken: '', registryToken: ''};
	await t.throwsAsync(pull(parts, own.host, auth), {instanceOf: PermissionDeniedError, message: /wants credentials sent to .* by plain http/});
	t.is(clear.seen.length, 0);
});

test('a loopback registry without configuration is asked by plain http after https, with a certificate or without', async t => {
	const http = await openServer(t, answerManifest);
	t.truthy(await pull(toParts({}), http.host));
	const https = await openServer(t, answerManifest, SERVER);
	t.truthy(await pull(toParts({}), https.host));
});

/** A proxy for CONNECT and for plain requests, to loopback whatever is asked for. @returns what it was asked for. */
async function openProxy(t: ExecutionContext, target: FakeServer): Promise<{readonly url: string; readonly asked: string[]}> {
	const asked: string[] = [];
	const port = Number(target.host.split(':')[1]);
	const sockets = new Set<Socket>();
	const proxy = createServer((request, response) => {
		asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`);
		response.end(MANIFEST);
	});
	proxy.on('connect', (request, socket: Socket) => {
		asked.push(`CONNECT ${request.url} ${request.headers['proxy-authorization'] ?? ''}`);
		const upstream = connect(port, '127.0.0.1', () => {
			socket.write('HTTP/1.1 200 OK\r\n\r\n');
			socket.pipe(upstream).pipe(socket);
		});
		for (const end of [socket, upstream]) {
			sockets.add(end);
			end.on('error', () => {});
		}
	});
	proxy.listen(0, '127.0.0.1');
	await once(proxy, 'listening');
	t.teardown(() => {
		proxy.close();
		proxy.closeAllConnections();
		for (const socket of sockets) socket.destroy();
	});
	return {url: `http://user:pass@127.0.0.1:${(proxy.address() as AddressInfo).port}/`, asked};
}

test('https goes through the proxy in a tunnel, plain http by request, NO_PROXY and loopback directly', async t => {
	const own = await openServer(t, answerManifest, SERVER);
	const proxy = await openProxy(t, own);
	const options = {http: proxy.url, https: proxy.url, noProxy: '.direct.invalid'};
	// The names resolve nowhere: only the proxy can answer.
	const skip = {
		'registry.invalid': {mirrors: [], plainHttp: false, insecureSkipVerify: true, caFile: null},
		...plain('plain.invalid'),
		...plain('x.direct.invalid'),
	};
	const parts = toParts({proxy: options, registries: {...skip, [own.host]: {mirrors: [], plainHttp: false, insecureSkipVerify: true, caFile: null}}});
	const basic = `Basic ${Buffer.from('user:pass').toString('base64')}`;
	t.truthy(await pull(parts, 'registry.invalid'));
	t.is(own.seen[0]?.headers['proxy-authorization'], undefined);
	t.truthy(await pull(parts, 'plain.invalid'));
	t.deepEqual(proxy.asked, [`CONNECT registry.invalid:443 ${basic}`, `GET http://plain.invalid/v2/a/manifests/1 ${basic}`]);
	t.truthy(await pull(parts, own.host));
	const direct = await t.throwsAsync(pull(parts, 'x.direct.invalid'), {instanceOf: UnavailableError});
	t.false(direct.message.includes('pass'));
	t.is(proxy.asked.length, 2);
});

test('a certificate for another name is refused', async t => {
	const own = await openServer(t, answerManifest, SERVER);
	const proxy = await openProxy(t, own);
	const registryConfigDir = await configure(t, 'registry.invalid', 'ca = "ca.pem"');
	const pulled = pull(toParts({registryConfigDir, proxy: {http: null, https: proxy.url, noProxy: ''}}), 'registry.invalid');
	await t.throwsAsync(pulled, {instanceOf: UnavailableError, message: /ERR_TLS_CERT_ALTNAME_INVALID/});
	t.is(proxy.asked.length, 1, 'once: another try does not help');
	t.is(own.seen.length, 0);
});
