import test, {type ExecutionContext} from 'ava';
import {once} from 'node:events';
import {systemClock} from '../../../base/clock.js';
import {silentLog} from '../../../base/log.js';
import {fakeSession} from '../fake-client.js';
import {openStreamingServer, type StreamedExec, type StreamingTimes} from '../server.js';
import {connectWebSocket, Opcode} from './fake-client.js';

const plain: StreamedExec = {containerId: 'c1', command: ['sh'], tty: false, stdin: true, stdout: true, stderr: true};
const usual: StreamingTimes = {streamsTimeoutMs: 5000, limits: {maxStreams: 8, pingIntervalMs: 60_000, idleTimeoutMs: 60_000}};
const [STDIN, STDOUT, STDERR, ERROR, RESIZE] = [0, 1, 2, 3, 4];

async function sessionWith(t: ExecutionContext, subprotocols: string, request: Partial<StreamedExec> = {}, times: StreamingTimes = usual) {
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog, times);
	t.teardown(async () => await server.close());
	const wanted = {...plain, ...request};
	const program = fakeSession(wanted);
	const opened = Promise.withResolvers<void>();
	const url = server.execUrl(wanted, async () => (opened.resolve(), program.session));
	const {client, headers, statusCode} = await connectWebSocket(url, subprotocols);
	t.is(statusCode, 101);
	return {client: client!, subprotocol: headers['sec-websocket-protocol'], program, opened: opened.promise};
}

test('v5: input with half-close, both outputs, the outcome as a Status, and a normal end', async t => {
	const {client, subprotocol, program} = await sessionWith(t, 'v5.channel.k8s.io, v4.channel.k8s.io');
	t.is(subprotocol, 'v5.channel.k8s.io');
	await client.until(() => client.messages.length > 0);
	t.deepEqual(client.messages[0], Buffer.from([STDOUT]), 'an empty message says that the server is ready');
	client.write(STDIN, 'hello ');
	client.write(STDIN, 'world');
	client.send({opcode: Opcode.BINARY, data: Buffer.from([255, STDIN])});
	let input = '';
	for await (const chunk of program.input!) input += String(chunk);
	t.is(input, 'hello world');
	program.stdout.write('out');
	program.stderr!.write('err');
	program.exit(0);
	await client.closed;
	t.is(client.text(STDOUT), 'out');
	t.is(client.text(STDERR), 'err');
	t.deepEqual(JSON.parse(client.text(ERROR)), {metadata: {}, status: 'Success'});
	t.like(client.close, {code: 1000});
	t.true(client.texts.every(text => !text));
});

test('v4: a non-zero exit code is told as its clients read it; 255 is no signal there', async t => {
	const {client, program} = await sessionWith(t, 'v4.channel.k8s.io');
	client.send({opcode: Opcode.BINARY, data: Buffer.from([255, STDIN])});
	client.write(STDIN, 'still open');
	const [chunk] = (await once(program.input!, 'data')) as [Buffer];
	t.is(chunk.toString(), 'still open');
	program.exit(42);
	await client.closed;
	t.like(JSON.parse(client.text(ERROR)), {reason: 'NonZeroExitCode', details: {causes: [{reason: 'ExitCode', message: '42'}]}});
});

for (const subprotocols of ['channel.k8s.io', '']) {
	test(`${subprotocols === '' ? 'a client that names no subprotocol' : subprotocols} gets text on failure and nothing on success`, async t => {
		const failing = await sessionWith(t, subprotocols);
		t.is(failing.subprotocol, subprotocols === '' ? undefined : subprotocols);
		failing.program.exit(3);
		await failing.client.closed;
		t.is(failing.client.text(ERROR), 'command terminated with non-zero exit code: 3');
		const working = await sessionWith(t, subprotocols);
		working.program.exit(0);
		await working.client.closed;
		t.is(working.client.text(ERROR), '');
	});
}

for (const [subprotocol, outcome] of [
	['v4.base64.channel.k8s.io', '{"metadata":{},"status":"Success"}'],
	['base64.channel.k8s.io', ''],
] as const) {
	test(`${subprotocol}: text messages with a digit and base64, both ways`, async t => {
		const {client, program} = await sessionWith(t, subprotocol);
		client.send({opcode: Opcode.TEXT, data: Buffer.from(`0${Buffer.from([0, 255, 10]).toString('base64')}`)});
		const [chunk] = (await once(program.input!, 'data')) as [Buffer];
		t.deepEqual(chunk, Buffer.from([0, 255, 10]));
		program.stdout.write(Buffer.from([1, 2, 254]));
		program.exit(0);
		await client.closed;
		t.true(client.texts.every(text => text));
		const decoded = (digit: string): Buffer =>
			Buffer.concat(
				client.messages.filter(message => String.fromCharCode(message[0]!) === digit).map(message => Buffer.from(message.toString().slice(1), 'base64')),
			);
		t.deepEqual(decoded('1'), Buffer.from([1, 2, 254]));
		t.is(decoded('3').toString(), outcome);
	});
}

test('a terminal: one output, sizes in whatever pieces they come, garbage between them does nothing', async t => {
	const {client, program} = await sessionWith(t, 'v5.channel.k8s.io', {tty: true, stderr: false});
	client.write(RESIZE, '{"Width":80,"Height":24}\n{"Wid');
	client.write(RESIZE, 'th":120,"Height":40}\n{"Width":0,"Height":70000}\n{"Width":"x"}{{}}\u0000\u00ff}');
	client.write(RESIZE, '{"Width":1,"Height":2}');
	client.write(STDIN, 'x');
	await once(program.input!, 'data');
	t.deepEqual(program.sizes, ['80x24', '120x40', '1x2']);
	program.stdout.write('prompt');
	program.exit(0);
	await client.closed;
	t.is(client.text(STDOUT), 'prompt');
	t.is(client.text(STDERR), '');
});

test('what comes for a channel that the session does not have is dropped, and so is what comes after a half-close', async t => {
	const {client, program} = await sessionWith(t, 'v5.channel.k8s.io');
	for (const channel of [STDOUT, STDERR, ERROR, RESIZE, 77]) client.write(channel!, 'nobody');
	client.send({opcode: Opcode.BINARY, data: Buffer.alloc(0)});
	client.write(STDIN, 'in');
	client.send({opcode: Opcode.BINARY, data: Buffer.from([255, STDIN])});
	client.send({opcode: Opcode.BINARY, data: Buffer.from([255, STDIN])});
	client.write(STDIN, 'late');
	let input = '';
	for await (const chunk of program.input!) input += String(chunk);
	t.is(input, 'in');
	program.exit(0);
	await client.closed;
	t.regex(client.text(ERROR), /Success/);
});

test('megabytes come unharmed; a client that does not read holds the program back, not the memory', async t => {
	const {client, program} = await sessionWith(t, 'v5.channel.k8s.io');
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
	await client.closed;
	t.is(client.text(STDOUT), block.toString('latin1').repeat(300));
});

test('input that the program does not read holds the client back, and the rest arrives later', async t => {
	const {client, program} = await sessionWith(t, 'v5.channel.k8s.io');
	const block = Buffer.alloc(1_000_000, 'x');
	for (let index = 0; index < 20; index++) client.write(STDIN!, block);
	client.send({opcode: Opcode.BINARY, data: Buffer.from([255, STDIN])});
	await systemClock.sleep(200);
	t.true(program.input!.readableLength + program.input!.writableLength < 3_000_000);
	let bytes = 0;
	for await (const chunk of program.input!) bytes += (chunk as Buffer).length;
	t.is(bytes, 20_000_000);
	program.exit(0);
	await client.closed;
	t.regex(client.text(ERROR), /Success/);
});

test('a message in fragments, with a ping between them, is one message', async t => {
	const {client, program} = await sessionWith(t, 'v5.channel.k8s.io');
	client.send({opcode: Opcode.BINARY, data: Buffer.from([STDIN, 0x61]), fin: false});
	client.send({opcode: Opcode.PING, data: Buffer.from('p')});
	client.send({opcode: Opcode.CONTINUATION, data: Buffer.from('b'), fin: false});
	client.send({opcode: Opcode.CONTINUATION, data: Buffer.from('c')});
	const [chunk] = (await once(program.input!, 'data')) as [Buffer];
	t.is(chunk.toString(), 'abc');
	program.exit(0);
	await client.closed;
});

for (const [how, leave] of [
	['by a close frame', client => void client.send({opcode: Opcode.CLOSE, data: Buffer.from([3, 232])})],
	['without a word', client => void client.socket.destroy()],
] as readonly (readonly [string, (client: {send: (frame: {opcode: number; data: Buffer}) => boolean; socket: {destroy(): unknown}}) => void])[]) {
	test(`a client that goes away ${how} kills the program`, async t => {
		const {client, program, opened} = await sessionWith(t, 'v5.channel.k8s.io');
		await opened;
		leave(client);
		await program.killed;
		await client.closed;
		t.pass();
	});
}

test('a connection without data gets pings', async t => {
	const {client} = await sessionWith(t, 'v5.channel.k8s.io', {}, {...usual, limits: {...usual.limits, pingIntervalMs: 20}});
	await client.until(() => client.pings.length > 1);
	client.socket.destroy();
	t.pass();
});

test('a connection without data ends after its idle time, and its program with it', async t => {
	const times = {...usual, limits: {...usual.limits, pingIntervalMs: 20, idleTimeoutMs: 300}};
	const {client, program} = await sessionWith(t, 'v5.channel.k8s.io', {}, times);
	await program.killed;
	await client.closed;
	t.pass();
});

test('a command that cannot be opened is an internal error on the error channel', async t => {
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog, usual);
	t.teardown(async () => await server.close());
	const url = server.execUrl(plain, async () => {
		throw new Error('container is not running');
	});
	const {client} = await connectWebSocket(url, 'v5.channel.k8s.io');
	await client!.closed;
	t.like(JSON.parse(client!.text(ERROR!)), {
		reason: 'InternalError',
		message: 'Internal error occurred: error executing command in container: container is not running',
	});
});
