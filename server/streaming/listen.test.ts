import test, {type ExecutionContext} from 'ava';
import {once} from 'node:events';
import {readFile, rename, writeFile} from 'node:fs/promises';
import {request} from 'node:https';
import type {Socket} from 'node:net';
import {connect as connectTls, type ConnectionOptions} from 'node:tls';
import {systemClock} from '../../base/clock.js';
import {silentLog} from '../../base/log.js';
import {temporaryDirectory} from '../fake-daemon.js';
import {selfSigned} from './fake-certificate.js';
import {FakeClient, fakeSession, spdyHeaders} from './fake-client.js';
import {openListener} from './listen.js';
import {openStreamingServer} from './server.js';

const wanted = {containerId: 'c1', command: ['sh'], tty: false, stdin: false, stdout: true, stderr: false};

interface Answered {
	readonly statusCode: number;
	readonly client: FakeClient | null;
}

/** Presents a URL over TLS. @throws when the handshake fails. */
async function present(url: string, tls: ConnectionOptions): Promise<Answered> {
	const {promise, resolve, reject} = Promise.withResolvers<Answered>();
	const outgoing = request(url, {...tls, method: 'POST', headers: spdyHeaders, agent: false});
	outgoing.on('upgrade', (response, socket, head) => resolve({statusCode: response.statusCode ?? 0, client: new FakeClient(socket as Socket, head)}));
	outgoing.on('response', response => {
		response.resume();
		resolve({statusCode: response.statusCode ?? 0, client: null});
	});
	outgoing.on('error', reject);
	outgoing.end();
	return await promise;
}

async function serverWith(t: ExecutionContext, clientCa: boolean) {
	const directory = await temporaryDirectory(t);
	const own = await selfSigned(directory, 'server');
	const client = await selfSigned(directory, 'client');
	const tls = {...own, clientCaFile: clientCa ? client.certFile : null};
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls}, silentLog);
	t.teardown(async () => await server.close());
	return {server, own, ca: await readFile(own.certFile), cert: await readFile(client.certFile), key: await readFile(client.keyFile)};
}

test('over TLS a URL begins with https and a session is as without', async t => {
	const {server, ca} = await serverWith(t, false);
	const program = fakeSession({stdin: false});
	const url = server.execUrl(wanted, async () => program.session);
	t.regex(url, /^https:\/\/127\.0\.0\.1:/);
	const {client, statusCode} = await present(url, {ca});
	t.is(statusCode, 101);
	const ids = [await client!.open({streamType: 'error'}), await client!.open({streamType: 'stdout'})];
	program.stdout.write('out');
	program.exit(0);
	t.is(await client!.text(ids[1]!), 'out');
	t.regex(await client!.text(ids[0]!), /Success/);
});

test('with client authorities only a client with a certificate of theirs is served', async t => {
	const {server, ca, cert, key, own} = await serverWith(t, true);
	const url = server.execUrl(wanted, async () => fakeSession({stdin: false}).session);
	await t.throwsAsync(present(url, {ca}));
	await t.throwsAsync(present(url, {ca, cert: await readFile(own.certFile), key: await readFile(own.keyFile)}));
	const {client, statusCode} = await present(url, {ca, cert, key});
	t.is(statusCode, 101);
	client!.socket.destroy();
});

test('a certificate that was renewed is used from then on; one that is broken leaves the old one', async t => {
	const directory = await temporaryDirectory(t);
	const {certFile, keyFile} = await selfSigned(directory, 'old');
	const said: string[] = [];
	const log = {...silentLog, info: (_: object, text = '') => void said.push(text), error: (_: object, text = '') => void said.push(text)};
	const {http, base, stop} = await openListener({address: '127.0.0.1', port: 0, tls: {certFile, keyFile, clientCaFile: null}}, log, 20);
	t.teardown(() => (stop(), void http.close()));
	const shown = async (): Promise<string> => {
		const socket = connectTls({port: Number(new URL(base).port), host: '127.0.0.1', rejectUnauthorized: false});
		await once(socket, 'secureConnect');
		const {CN} = socket.getPeerCertificate().subject;
		socket.destroy();
		return String(CN);
	};
	const until = async (word: RegExp): Promise<void> => {
		while (!said.some(text => word.test(text))) await systemClock.sleep(5);
	};
	// By a rename: the listener sees what is meant here, and nothing between.
	const replace = async (path: string, content: string | Buffer): Promise<void> => {
		await writeFile(`${directory}/next`, content);
		await rename(`${directory}/next`, path);
	};
	t.is(await shown(), 'old');
	const renewed = await selfSigned(directory, 'new');
	await replace(keyFile, 'no key');
	await until(/not usable/);
	t.is(await shown(), 'old');
	said.length = 0;
	// As it is while it is written anew.
	await replace(keyFile, '');
	await until(/not usable/);
	t.is(await shown(), 'old');
	await replace(keyFile, await readFile(renewed.keyFile));
	await replace(certFile, await readFile(renewed.certFile));
	await until(/new certificate in use/);
	t.is(await shown(), 'new');
});

test('files that are missing or no certificate are named', async t => {
	const directory = await temporaryDirectory(t);
	const {certFile, keyFile} = await selfSigned(directory, 'good');
	const open = (tls: {certFile: string; keyFile: string; clientCaFile: string | null}) => openListener({address: '127.0.0.1', port: 0, tls}, silentLog);
	await t.throwsAsync(open({certFile: `${directory}/none`, keyFile, clientCaFile: null}), {
		code: 'INVALID_ARGUMENT',
		message: /streaming\.tls_cert_file: ENOENT/,
	});
	await t.throwsAsync(open({certFile, keyFile: `${directory}/none`, clientCaFile: null}), {message: /streaming\.tls_key_file: ENOENT/});
	await t.throwsAsync(open({certFile, keyFile, clientCaFile: `${directory}/none`}), {message: /streaming\.tls_client_ca_file: ENOENT/});
	await t.throwsAsync(open({certFile: keyFile, keyFile, clientCaFile: null}), {message: /are no certificate with its key/});
	const empty = `${directory}/empty`;
	await writeFile(empty, '');
	await t.throwsAsync(open({certFile: empty, keyFile, clientCaFile: null}), {message: /streaming\.tls_cert_file: the file is empty/});
	await t.throwsAsync(open({certFile, keyFile: empty, clientCaFile: null}), {message: /streaming\.tls_key_file: the file is empty/});
	await t.throwsAsync(open({certFile, keyFile, clientCaFile: empty}), {message: /streaming\.tls_client_ca_file: the file is empty/});
	await t.throwsAsync(open({certFile, keyFile, clientCaFile: keyFile}), {message: /streaming\.tls_client_ca_file: .* holds no certificate/});
	const other = await selfSigned(directory, 'other');
	await t.throwsAsync(open({certFile, keyFile: other.keyFile, clientCaFile: null}), {message: /are no certificate with its key/});
});

test('beyond loopback a warning is logged', async t => {
	const warned: string[] = [];
	const {http, stop} = await openListener({address: '0.0.0.0', port: 0, tls: null}, {...silentLog, warn: (_: object, text = '') => void warned.push(text)});
	stop();
	http.close();
	t.regex(warned[0] ?? '', /beyond loopback/);
});
