import {mkdtemp, rm, stat} from 'node:fs/promises';
import {createServer, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {systemClock} from '../../../base/clock.js';
import {CancelledError, FailedError, ResourceExhaustedError, TimedOutError, UnavailableError} from '../../../base/errors.js';
import {loadShim} from '../../../proto/loader.js';
import {encodeFrame, FrameReader, FrameType, MAX_FRAME_BYTES, type Frame} from './frames.js';
import {TtrpcServer, type Services} from './ttrpc-server.js';
import {TtrpcClient, TtrpcStatusError} from './ttrpc.js';

const wire = loadShim();
const NONE = {timeoutMs: 0, signal: null};

async function ownDir(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), 'ttrpc-'));
	t.teardown(async () => await rm(dir, {recursive: true, force: true}));
	return dir;
}

async function serve(t: ExecutionContext, services: Services): Promise<TtrpcClient> {
	const path = join(await ownDir(t), 'socket');
	const server = await TtrpcServer.listen(path, services, wire);
	const client = await TtrpcClient.connect(`unix://${path}`, wire, systemClock);
	t.teardown(async () => {
		client.close();
		await server.close();
	});
	return client;
}

/** A server that does with each connection what the test says. */
async function serveRaw(t: ExecutionContext, onSocket: (socket: Socket) => void): Promise<TtrpcClient> {
	const path = join(await ownDir(t), 'socket');
	const server = createServer(onSocket);
	await new Promise<void>(resolve => server.listen({path}, resolve));
	const client = await TtrpcClient.connect(`unix://${path}`, wire, systemClock);
	t.teardown(() => {
		client.close();
		server.close();
	});
	return client;
}

const echoState: Services = new Map([
	[
		'test.Task/State',
		payload => {
			const {id} = wire.task.State.requestDeserialize(payload);
			if (id === 'bad') throw new Error('no such thing');
			return wire.task.State.responseSerialize({id, pid: 7, status: 'RUNNING'});
		},
	],
]);

test('frames come whole out of any cuts', t => {
	const sent: Frame[] = [0, 1, 5, 9, 10, 70_000].map((size, i) => ({streamId: 2 * i + 1, type: FrameType.request, flags: i, data: Buffer.alloc(size, i)}));
	const bytes = Buffer.concat(sent.map(encodeFrame));
	for (const step of [1, 3, 10, 11, 4096, bytes.length]) {
		const reader = new FrameReader();
		const got: Frame[] = [];
		for (let at = 0; at < bytes.length; at += step) got.push(...reader.push(bytes.subarray(at, at + step)));
		t.deepEqual(got, sent, `in steps of ${step}`);
	}
});

test('a frame that is too large is refused on both ways, before it is here', t => {
	const header = Buffer.alloc(10);
	header.writeUInt32BE(MAX_FRAME_BYTES + 1, 0);
	t.throws(() => new FrameReader().push(header), {instanceOf: ResourceExhaustedError, message: /4194305 bytes is over the limit/});
	t.throws(() => encodeFrame({streamId: 1, type: FrameType.request, flags: 0, data: Buffer.alloc(MAX_FRAME_BYTES + 1)}), {instanceOf: ResourceExhaustedError});
});

test('calls at the same time each get their own answer, or the status of theirs', async t => {
	const client = await serve(t, echoState);
	const ids = Array.from({length: 50}, (_, i) => `task-${i}`);
	const answers = await Promise.all(ids.map(async id => await client.call('test.Task', wire.task.State, {id}, NONE)));
	t.deepEqual(
		answers.map(({id, pid, status}) => [id, pid, status]),
		ids.map(id => [id, 7, 2]),
	);
	const error = await t.throwsAsync(client.call('test.Task', wire.task.State, {id: 'bad'}, NONE), {instanceOf: TtrpcStatusError});
	t.deepEqual([error.grpcCode, error.message], [2, 'shim: State: no such thing']);
	const unknown = await t.throwsAsync(client.call('test.Task', wire.task.Pause, {id: 'x'}, NONE), {instanceOf: TtrpcStatusError});
	t.is(unknown.grpcCode, 12);
});

test('the socket is for root alone, and takes the place of one that was left', async t => {
	const path = join(await ownDir(t), 'socket');
	const first = await TtrpcServer.listen(path, echoState, wire);
	t.is((await stat(path)).mode & 0o777, 0o600);
	const second = await TtrpcServer.listen(path, echoState, wire);
	const client = await TtrpcClient.connect(`unix://${path}`, wire, systemClock);
	t.is((await client.call('test.Task', wire.task.State, {id: 'a'}, NONE)).id, 'a');
	client.close();
	await first.close();
	await second.close();
});

test('a call that is not answered ends at its timeout or with its signal, and a late answer harms nobody', async t => {
	const sockets: Socket[] = [];
	const client = await serveRaw(t, socket => {
		sockets.push(socket);
		const reader = new FrameReader();
		socket.on('data', (chunk: Buffer) => {
			for (const frame of reader.push(chunk)) {
				const {service, method} = wire.transport.Call.requestDeserialize(frame.data);
				if (service === 'test.Quick')
					socket.write(encodeFrame({...frame, type: FrameType.response, data: wire.transport.Call.responseSerialize({payload: Buffer.alloc(0)})}));
				else if (method === 'State')
					setTimeout(() => socket.write(encodeFrame({...frame, type: FrameType.response, data: wire.transport.Call.responseSerialize({})})), 100);
			}
		});
	});
	await t.throwsAsync(client.call('test.Task', wire.task.State, {id: 'a'}, {timeoutMs: 20, signal: null}), {
		instanceOf: TimedOutError,
		message: 'shim: State did not answer within 20 ms',
	});
	const abort = new AbortController();
	const cancelled = client.call('test.Task', wire.task.Wait, {id: 'a'}, {timeoutMs: 0, signal: abort.signal});
	abort.abort();
	await t.throwsAsync(cancelled, {instanceOf: CancelledError});
	await t.throwsAsync(client.call('test.Task', wire.task.Wait, {id: 'a'}, {timeoutMs: 0, signal: abort.signal}), {instanceOf: CancelledError});
	await systemClock.sleep(150);
	await t.notThrowsAsync(client.call('test.Quick', wire.task.Pause, {id: 'a'}, NONE));
});

test('a connection that ends fails the calls in flight and all later ones', async t => {
	const client = await serveRaw(t, socket => void socket.once('data', () => socket.destroy()));
	await t.throwsAsync(client.call('test.Task', wire.task.State, {id: 'a'}, NONE), {instanceOf: UnavailableError});
	await client.ended;
	await t.throwsAsync(client.call('test.Task', wire.task.State, {id: 'a'}, NONE), {instanceOf: UnavailableError});
});

test('a request that is too long is refused, and the end of the connection afterwards fails nobody', async t => {
	const client = await serve(t, echoState);
	const unhandled: unknown[] = [];
	const note = (reason: unknown): void => void unhandled.push(reason);
	process.on('unhandledRejection', note);
	t.teardown(() => process.off('unhandledRejection', note));
	const long = 'x'.repeat(MAX_FRAME_BYTES + 1);
	await t.throwsAsync(client.call('test.Task', wire.task.State, {id: long}, NONE), {instanceOf: ResourceExhaustedError});
	t.is((await client.call('test.Task', wire.task.State, {id: 'a'}, NONE)).id, 'a');
	client.close();
	await client.ended;
	// Node tells of them after the microtasks of a turn.
	await new Promise(resolve => void setImmediate(resolve));
	t.deepEqual(unhandled, []);
});

test('a server that sends garbage, or too much, ends the connection and nothing else', async t => {
	for (const garbage of [Buffer.alloc(64, 0xff), encodeFrame({streamId: 1, type: FrameType.response, flags: 0, data: Buffer.alloc(40, 0xff)})]) {
		const client = await serveRaw(t, socket => void socket.once('data', () => socket.write(garbage)));
		await t.throwsAsync(client.call('test.Task', wire.task.State, {id: 'a'}, NONE));
		await client.ended;
	}
});

test('a client that sends garbage loses its connection; others are served', async t => {
	const path = join(await ownDir(t), 'socket');
	const server = await TtrpcServer.listen(path, echoState, wire);
	t.teardown(async () => await server.close());
	const {connect} = await import('node:net');
	const hostile = connect({path});
	hostile.on('error', () => {});
	hostile.write(Buffer.alloc(4096, 0xff));
	await new Promise(resolve => void hostile.once('close', resolve));
	const client = await TtrpcClient.connect(`unix://${path}`, wire, systemClock);
	t.is((await client.call('test.Task', wire.task.State, {id: 'b'}, NONE)).id, 'b');
	client.close();
});

test('an address that is not of a unix socket, or where nobody listens, is an error that names it', async t => {
	await t.throwsAsync(TtrpcClient.connect('vsock://3:1024', wire, systemClock), {instanceOf: FailedError, message: /vsock:\/\/3:1024 is not of a unix socket/});
	await t.throwsAsync(TtrpcClient.connect('unix:///no/such', wire, systemClock), {instanceOf: UnavailableError, message: /unix:\/\/\/no\/such/});
});
