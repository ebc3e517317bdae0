import test from 'ava';
import {once} from 'node:events';
import {connect as connectSocket, createServer, type AddressInfo, type Socket} from 'node:net';
import {systemClock} from '../../base/clock.js';
import {silentLog} from '../../base/log.js';
import {connect, fakeSession} from './fake-client.js';
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

test('thousands of clients that connect and say nothing keep nobody out', async t => {
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog);
	t.teardown(async () => await server.close());
	const request = {containerId: 'c1', command: ['sh'], tty: false, stdin: false, stdout: true, stderr: false};
	const {port} = new URL(server.execUrl(request, async () => fakeSession().session));
	const silent: Socket[] = [];
	t.teardown(() => {
		for (const socket of silent) socket.destroy();
	});
	for (let round = 0; round < 15; round++) {
		const some = Array.from({length: 100}, () => connectSocket(Number(port), '127.0.0.1').on('error', () => {}));
		silent.push(...some);
		await Promise.all(some.map(socket => once(socket, 'connect')));
	}
	const program = fakeSession({stdin: false});
	const {client} = await connect(server.execUrl(request, async () => program.session));
	const ids = [await client!.open({streamType: 'error'}), await client!.open({streamType: 'stdout'})];
	program.exit(0);
	t.regex(await client!.text(ids[0]!), /Success/);
	while (silent.filter(({destroyed}) => destroyed).length < 400) await systemClock.sleep(10);
	t.pass();
});
