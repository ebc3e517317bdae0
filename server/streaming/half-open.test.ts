import test from 'ava';
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {connect as connectSocket, createServer, type AddressInfo, type Socket} from 'node:net';
import {connect as connectTls, createServer as createTlsServer} from 'node:tls';
import {systemClock} from '../../base/clock.js';
import {silentLog} from '../../base/log.js';
import {temporaryDirectory} from '../fake-daemon.js';
import {connect, fakeSession} from './fake-client.js';
import {selfSigned} from './fake-certificate.js';
import {HalfOpenSockets} from './half-open.js';
import {openStreamingServer} from './server.js';

test('beyond the bound the oldest socket is closed; what has become a session counts no more', async t => {
	const half = new HalfOpenSockets(2);
	const server = createServer(socket => half.add(socket));
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => void server.close());
	const accepted: Socket[] = [];
	server.on('connection', (socket: Socket) => void accepted.push(socket));
	const clients: Socket[] = [];
	const next = async (): Promise<void> => {
		const before = accepted.length;
		clients.push(connectSocket((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {}));
		while (accepted.length === before) await systemClock.sleep(2);
	};
	await next();
	half.release(accepted[0]!);
	for (let index = 0; index < 3; index++) await next();
	t.deepEqual(
		accepted.map(({destroyed}) => destroyed),
		[false, true, false, false],
	);
	half.closeAll();
	t.deepEqual(
		accepted.map(({destroyed}) => destroyed),
		[false, true, true, true],
	);
	for (const socket of [...clients, ...accepted]) socket.destroy();
});

test('a TLS handshake that is not finished is half open, and a session over TLS counts no more', async t => {
	const half = new HalfOpenSockets(2);
	const {certFile, keyFile} = await selfSigned(await temporaryDirectory(t), 'server');
	const server = createTlsServer({cert: await readFile(certFile), key: await readFile(keyFile), handshakeTimeout: 600_000});
	const accepted: Socket[] = [];
	server.on('connection', (socket: Socket) => {
		accepted.push(socket);
		half.add(socket);
	});
	server.on('secureConnection', socket => {
		half.release(socket);
		socket.write('hello');
	});
	server.on('tlsClientError', () => {});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => void server.close());
	const {port} = server.address() as AddressInfo;
	const silent: Socket[] = [];
	t.teardown(() => {
		for (const socket of [...silent, ...accepted]) socket.destroy();
	});
	const connectSilently = async (): Promise<void> => {
		const before = accepted.length;
		silent.push(connectSocket(port, '127.0.0.1').on('error', () => {}));
		while (accepted.length === before) await systemClock.sleep(2);
	};
	const spoken = connectTls({port, host: '127.0.0.1', rejectUnauthorized: false});
	await once(spoken, 'secureConnect');
	for (let index = 0; index < 3; index++) await connectSilently();
	t.deepEqual(
		accepted.map(({destroyed}) => destroyed),
		[false, true, false, false],
	);
	t.is(String(await once(spoken, 'data').then(([chunk]) => chunk as Buffer)), 'hello');
	spoken.destroy();
});

for (const protocol of ['http', 'https'] as const) {
	test(`thousands of clients that connect and say nothing keep nobody out of ${protocol}`, async t => {
		const tls = protocol === 'https' ? await selfSigned(await temporaryDirectory(t), 'server') : null;
		const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: tls && {...tls, clientCaFile: null}}, silentLog);
		t.teardown(async () => await server.close());
		const request = {containerId: 'c1', command: ['sh'], tty: false, stdin: false, stdout: true, stderr: false};
		const program = fakeSession({stdin: false});
		const url = server.execUrl(request, async () => program.session);
		const silent: Socket[] = [];
		t.teardown(() => {
			for (const socket of silent) socket.destroy();
		});
		for (let round = 0; round < 15; round++) {
			const some = Array.from({length: 100}, () => connectSocket(Number(new URL(url).port), '127.0.0.1').on('error', () => {}));
			silent.push(...some);
			await Promise.all(some.map(socket => once(socket, 'connect')));
		}
		const {client} = await connect(url);
		const ids = [await client!.open({streamType: 'error'}), await client!.open({streamType: 'stdout'})];
		// More than the bound of them after this one: it counts no more.
		while (silent.filter(({destroyed}) => destroyed).length < 400) await systemClock.sleep(10);
		program.exit(0);
		t.regex(await client!.text(ids[0]!), /Success/);
	});
}
