import test, {type ExecutionContext} from 'ava';
import {once} from 'node:events';
import {connect as connectSocket} from 'node:net';
import {systemClock} from '../../base/clock.js';
import {silentLog} from '../../base/log.js';
import type {ExecSession} from '../../native/native.js';
import {connect, fakeSession, FIN, spdyHeaders} from './fake-client.js';
import {openStreamingServer, type StreamedExec, type StreamingTimes} from './server.js';
import {controlFrame, FrameType} from './spdy/frames.js';

const plain: StreamedExec = {containerId: 'c1', command: ['sh'], tty: false, stdin: true, stdout: true, stderr: true};
const usual: StreamingTimes = {streamsTimeoutMs: 5000, limits: {maxStreams: 8, pingIntervalMs: 60_000, idleTimeoutMs: 60_000}};

async function serverWith(t: ExecutionContext, times: StreamingTimes = usual) {
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog, times);
	t.teardown(async () => await server.close());
	return server;
}

/** A client whose streams are open, and the session behind it. */
async function sessionWith(t: ExecutionContext, request: Partial<StreamedExec> = {}, versions?: string) {
	const wanted = {...plain, ...request};
	const server = await serverWith(t);
	const program = fakeSession(wanted);
	const url = server.execUrl(wanted, async () => program.session);
	const {client, headers} = await connect(url, versions === undefined ? spdyHeaders : {...spdyHeaders, 'X-Stream-Protocol-Version': versions});
	t.truthy(client);
	const types = ['error', ...(wanted.stdin ? ['stdin'] : []), 'stdout', ...(wanted.tty ? ['resize'] : ['stderr'])];
	const ids: Record<string, number> = {};
	for (const streamType of types) ids[streamType] = await client!.open({streamType});
	return {server, client: client!, version: headers['x-stream-protocol-version'], program, ids};
}

test('a command gets its input, and its output, errors and success come back with every stream ended', async t => {
	const {client, version, program, ids} = await sessionWith(t);
	t.is(version, 'v4.channel.k8s.io');
	client.write(ids['stdin']!, 'hello ');
	client.write(ids['stdin']!, 'world');
	client.write(ids['stdin']!, '', true);
	let input = '';
	for await (const chunk of program.input!) input += String(chunk);
	t.is(input, 'hello world');
	program.stdout.write('out');
	program.stderr!.write('err');
	program.exit(0);
	t.is(await client.text(ids['stdout']!), 'out');
	t.is(await client.text(ids['stderr']!), 'err');
	t.deepEqual(JSON.parse(await client.text(ids['error']!)), {metadata: {}, status: 'Success'});
	t.like(await client.until('go-away'), {status: 0});
	await client.closed;
});

test('a non-zero exit code is told as v4 clients read it', async t => {
	const {client, program, ids} = await sessionWith(t);
	program.exit(42);
	t.like(JSON.parse(await client.text(ids['error']!)), {
		status: 'Failure',
		reason: 'NonZeroExitCode',
		details: {causes: [{reason: 'ExitCode', message: '42'}]},
	});
});

for (const version of ['v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io']) {
	test(`${version} gets text on failure and nothing on success`, async t => {
		const failing = await sessionWith(t, {}, version);
		t.is(failing.version, version);
		failing.program.exit(3);
		t.is(await failing.client.text(failing.ids['error']!), 'command terminated with non-zero exit code: 3');
		const working = await sessionWith(t, {}, version);
		working.program.exit(0);
		t.is(await working.client.text(working.ids['error']!), '');
	});
}

test('a terminal: one output, sizes in whatever pieces they come', async t => {
	const {client, program, ids} = await sessionWith(t, {tty: true, stderr: false});
	client.write(ids['resize']!, '{"Width":80,"Height":24}\n{"Wid');
	client.write(ids['resize']!, 'th":120,"Height":40}\n{"Width":0,"Height":70000}\n{"Width":1,"Height":2}');
	client.write(ids['stdin']!, 'x');
	await once(program.input!, 'data');
	t.deepEqual(program.sizes, ['80x24', '120x40', '1x2']);
	program.stdout.write('prompt');
	program.exit(0);
	t.is(await client.text(ids['stdout']!), 'prompt');
});

test('megabytes go both ways unharmed, a slow reader holds the program back', async t => {
	const {client, program, ids} = await sessionWith(t);
	const block = Buffer.alloc(100_000, 'abcdefghij');
	client.socket.pause();
	let accepted = 0;
	const writing = (async () => {
		for (let index = 0; index < 300; index++) {
			if (!program.stdout.write(block)) await once(program.stdout, 'drain');
			accepted++;
		}
	})();
	await systemClock.sleep(300);
	t.true(accepted < 300, `${accepted} blocks were taken while the client did not read`);
	client.socket.resume();
	await writing;
	program.exit(0);
	t.is((await client.text(ids['stdout']!)).length, 30_000_000);
});

test('input that the program does not read holds the client back, and the rest arrives later', async t => {
	const {client, program, ids} = await sessionWith(t);
	const block = Buffer.alloc(1_000_000, 'x');
	for (let index = 0; index < 20; index++) client.write(ids['stdin']!, block, index === 19);
	await systemClock.sleep(200);
	t.true(program.input!.readableLength + program.input!.writableLength < 1_000_000);
	let bytes = 0;
	for await (const chunk of program.input!) bytes += (chunk as Buffer).length;
	t.is(bytes, 20_000_000);
	program.exit(0);
	await client.closed;
});

test('a program that closed its input lets the rest go nowhere, and still ends properly', async t => {
	const {client, program, ids} = await sessionWith(t);
	client.write(ids['stdin']!, 'first');
	await once(program.input!, 'data');
	program.input!.destroy(new Error('EPIPE'));
	for (let index = 0; index < 20; index++) client.write(ids['stdin']!, Buffer.alloc(1_000_000));
	client.socket.write(controlFrame(FrameType.PING, 0, 7));
	t.deepEqual(await client.until('ping'), {kind: 'ping', id: 7});
	program.exit(0);
	t.regex(await client.text(ids['error']!), /Success/);
});

test('a client that goes away kills the program', async t => {
	const {client, program} = await sessionWith(t);
	client.socket.destroy();
	await program.killed;
	t.pass();
});

test('a child in the background that holds the output open does not keep the session', async t => {
	const {client, program, ids} = await sessionWith(t);
	program.stdout.write('last words');
	await systemClock.sleep(20);
	program.exit(0);
	t.is(await client.text(ids['stdout']!), 'last words');
	t.false(program.stdout.writableEnded);
	await client.closed;
});

test('a command that cannot be opened is an internal error on the error stream, with all streams ended', async t => {
	const server = await serverWith(t);
	const {client} = await connect(
		server.execUrl({...plain, stdin: false}, async () => {
			throw new Error('container is not running');
		}),
	);
	const [error, stdout, stderr] = [
		await client!.open({streamtype: 'error'}),
		await client!.open({streamtype: 'stdout'}),
		await client!.open({streamtype: 'stderr'}),
	];
	t.like(JSON.parse(await client!.text(error)), {
		status: 'Failure',
		reason: 'InternalError',
		message: 'Internal error occurred: error executing command in container: container is not running',
		code: 500,
	});
	t.is(await client!.text(stdout), '');
	t.is(await client!.text(stderr), '');
});

test('a URL works once, and opens the command only then', async t => {
	const server = await serverWith(t);
	let opened = 0;
	const ran = Promise.withResolvers<void>();
	const url = server.execUrl(plain, async () => {
		opened++;
		ran.resolve();
		return fakeSession().session;
	});
	t.regex(url, /^http:\/\/127\.0\.0\.1:\d+\/exec\/[\w-]{43}$/);
	const {client, statusCode} = await connect(url);
	t.is(statusCode, 101);
	t.is(opened, 0);
	for (const streamtype of ['error', 'stdin', 'stdout', 'stderr']) await client!.open({streamtype});
	t.like(await connect(url), {statusCode: 404});
	await ran.promise;
	t.is(opened, 1);
});

test('a client that opens no streams is let go after a while', async t => {
	const server = await serverWith(t, {...usual, streamsTimeoutMs: 50});
	const {client} = await connect(server.execUrl(plain, async () => t.fail() as never));
	await client!.open({streamtype: 'error'}, FIN);
	await client!.closed;
	t.like(client!.frames.at(-1), {kind: 'go-away'});
});

test('a connection without data gets PINGs', async t => {
	const server = await serverWith(t, {...usual, limits: {...usual.limits, pingIntervalMs: 20}});
	const {client} = await connect(server.execUrl(plain, async () => fakeSession().session));
	t.like(await client!.until('ping'), {id: 2});
	client!.socket.destroy();
});

test('a connection without data ends after its idle time, and its program with it', async t => {
	const server = await serverWith(t, {...usual, limits: {...usual.limits, pingIntervalMs: 20, idleTimeoutMs: 1500}});
	const program = fakeSession();
	const {client} = await connect(server.execUrl(plain, async () => program.session));
	for (const streamtype of ['error', 'stdin', 'stdout', 'stderr']) await client!.open({streamtype});
	await program.killed;
	await client!.closed;
	t.pass();
});

test('close ends sessions and idle sockets and kills their programs', async t => {
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog, usual);
	const program = fakeSession();
	const opened = Promise.withResolvers<void>();
	const url = server.execUrl(plain, async (): Promise<ExecSession> => (opened.resolve(), program.session));
	const idle = connectSocket(Number(new URL(url).port), '127.0.0.1');
	await once(idle, 'connect');
	const {client} = await connect(url);
	for (const streamtype of ['error', 'stdin', 'stdout', 'stderr']) await client!.open({streamtype});
	await opened.promise;
	await server.close();
	await program.killed;
	await client!.closed;
	idle.destroy();
	t.pass();
});
