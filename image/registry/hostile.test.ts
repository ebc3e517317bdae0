import {gzipSync} from 'node:zlib';
import {createServer} from 'node:net';
import {once} from 'node:events';
import type {AddressInfo} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {CorruptError, PermissionDeniedError, UnavailableError} from '../../base/errors.js';
import {parseReference} from '../reference.js';
import {RegistrySource} from './client.js';
import {type Answer, collectAll, openServer, plain, toDescriptor, toParts} from './fake-server.js';

const MANIFEST = Buffer.from('{"schemaVersion":2}');
const never = new AbortController().signal;

async function pullFrom(host: string): Promise<Uint8Array> {
	const source = await RegistrySource.open(parseReference(`${host}/a:1`), null, toParts({registries: plain(host), stallTimeoutMs: 10_000}));
	try {
		return await source.manifest('1', never);
	} finally {
		await source.close();
	}
}

/** A server that writes these bytes to whoever connects. */
async function rawServer(t: ExecutionContext, bytes: string): Promise<string> {
	const server = createServer(socket => {
		socket.on('error', () => {});
		socket.once('data', () => socket.end(bytes));
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => void server.close());
	return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

for (const [what, answer, instanceOf, message, requests] of [
	['garbage', (_, response) => response.end('\0\xff{'), CorruptError, /sends a manifest that is not a JSON object/, 1],
	['a JSON array', (_, response) => response.end('[]'), CorruptError, /not a JSON object/, 1],
	['nothing', (_, response) => response.end(), CorruptError, /not a JSON object/, 1],
	[
		'a manifest that says it is 5 MiB long',
		(_, response) => response.writeHead(200, {'content-length': 5 << 20}).write('{'),
		CorruptError,
		/longer than 4194304 bytes/,
		1,
	],
	['an endless manifest of unsaid length', endless, CorruptError, /longer than 4194304 bytes/, 1],
	['endless redirects', (_, response) => response.writeHead(302, {location: '/v2/again'}).end(), UnavailableError, /redirects more than 5 times/, 6],
	['a redirect to a file', (_, response) => response.writeHead(302, {location: 'file:///etc/shadow'}).end(), PermissionDeniedError, /no http URL/, 1],
	['a redirect to nowhere', (_, response) => response.writeHead(302).end(), PermissionDeniedError, /redirects to "", which is no http URL/, 1],
	[
		'a redirect with credentials',
		(_, response) => response.writeHead(302, {location: 'http://a:b@127.0.0.1:1/'}).end(),
		PermissionDeniedError,
		/with credentials in the URL/,
		1,
	],
	[
		'huge headers',
		(_, response) => response.writeHead(200, {'x-huge': 'x'.repeat(200_000)}).end(MANIFEST),
		CorruptError,
		/answers no valid HTTP \(Headers Overflow/i,
		1,
	],
	['an unasked gzip encoding', gzipped, CorruptError, /not a JSON object, with Content-Encoding "gzip"/, 1],
	[
		'an error of HTML that never ends',
		(_, response) => endless(_, response.writeHead(502, {'content-type': 'text/html'}), 0),
		UnavailableError,
		/answers 502$/,
		4,
	],
] as readonly [string, Answer, new (message: string) => Error, RegExp, number][]) {
	test(`a registry that answers with ${what}`, async t => {
		const own = await openServer(t, answer);
		const error = await t.throwsAsync(pullFrom(own.host), {instanceOf, message});
		t.true(error.message.startsWith(`${own.host}/a:1: ${own.host}: `), error.message);
		t.is(own.seen.length, requests);
	});
}

const endlessPiece = Buffer.alloc(65_536, '{"x":');
function endless(_: unknown, response: Parameters<Answer>[1], __?: number): void {
	const more = (): void => {
		while (!response.destroyed && response.write(endlessPiece));
	};
	response.on('drain', more);
	more();
}

function gzipped(_: unknown, response: Parameters<Answer>[1]): void {
	response.writeHead(200, {'content-encoding': 'gzip'}).end(gzipSync(MANIFEST));
}

for (const [what, bytes, message] of [
	['what is no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', /answers no valid HTTP \(Response does not match/],
	['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}', /answers no valid HTTP \(Response does not match/],
	['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x', /UND_ERR_RES_CONTENT_LENGTH_MISMATCH/],
	[
		'a length and chunks',
		'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
		/UND_ERR_RES_CONTENT_LENGTH_MISMATCH/,
	],
	['a header with a NUL', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\n{}', /answers no valid HTTP \(Response does not match/],
] as const) {
	test(`a registry that answers with ${what}`, async t => {
		const host = await rawServer(t, bytes);
		const error = await t.throwsAsync(pullFrom(host), {message});
		t.is(error instanceof CorruptError, !message.source.includes('MISMATCH'));
	});
}

test('a manifest that is shorter than its Content-Length is an error, tried again', async t => {
	const host = await rawServer(t, 'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{}');
	await t.throwsAsync(pullFrom(host), {instanceOf: UnavailableError, message: /UND_ERR_SOCKET|terminated/});
});

test('a blob that is marked as gzip-encoded, as some storages mark layers, is taken as it is', async t => {
	const layer = gzipSync(Buffer.from('a layer'));
	const own = await openServer(t, (_, response) => response.writeHead(200, {'content-encoding': 'gzip'}).end(layer));
	const source = await RegistrySource.open(parseReference(`${own.host}/a:1`), null, toParts({registries: plain(own.host)}));
	t.true((await collectAll(source.blob(toDescriptor(layer), never))).equals(layer));
	t.is(own.seen[0]?.headers['accept-encoding'], 'identity');
});
