import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {systemClock} from '../../../base/clock.js';
import {silentLog, type Logger} from '../../../base/log.js';
import {fakeSession} from '../fake-client.js';
import {openStreamingServer, type StreamedExec, type StreamingTimes} from '../server.js';
import {connectWebSocket, Opcode, toFrame, type FakeWebSocket} from './fake-client.js';

const plain: StreamedExec = {containerId: 'c1', command: ['sh'], tty: false, stdin: true, stdout: true, stderr: true};
const usual: StreamingTimes = {streamsTimeoutMs: 5000, limits: {maxStreams: 8, pingIntervalMs: 60_000, idleTimeoutMs: 60_000}};
const MIB = 1024 * 1024;

async function serverWith(t: ExecutionContext) {
	const warned: {readonly err: Error}[] = [];
	const log: Logger = {...silentLog, warn: (fields: object) => void warned.push(fields as {readonly err: Error})};
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, log, usual);
	t.teardown(async () => await server.close());
	return {server, warned};
}

/** What a hostile client sends after its upgrade; each must end its connection with this code, kill its program, and be said in the log. */
const hostile: readonly (readonly [string, string, number, RegExp, (client: FakeWebSocket) => void])[] = [
	[
		'an unmasked frame',
		'v5.channel.k8s.io',
		1002,
		/MASK must be set/,
		client => client.send({opcode: Opcode.BINARY, data: Buffer.from([0, 1]), masked: false}),
	],
	[
		'a frame that says it has 4 GiB',
		'v5.channel.k8s.io',
		1009,
		/Max payload size/,
		client => client.send({opcode: Opcode.BINARY, data: Buffer.from([0]), length: 2 ** 32}),
	],
	[
		'a frame that says it has 2^60 bytes',
		'v5.channel.k8s.io',
		1009,
		/payload length|Max payload/,
		client => client.send({opcode: Opcode.BINARY, data: Buffer.from([0]), length: 2 ** 60}),
	],
	[
		'a compressed frame',
		'v5.channel.k8s.io',
		1002,
		/RSV1 must be clear/,
		client => client.send({opcode: Opcode.BINARY, data: Buffer.from([0]), reserved: 0x40}),
	],
	['an unknown opcode', 'v5.channel.k8s.io', 1002, /invalid opcode/, client => client.send({opcode: 5, data: Buffer.from([0])})],
	['a continuation of nothing', 'v5.channel.k8s.io', 1002, /invalid opcode 0/, client => client.send({opcode: Opcode.CONTINUATION, data: Buffer.from([0])})],
	['a fragmented ping', 'v5.channel.k8s.io', 1002, /FIN must be set/, client => client.send({opcode: Opcode.PING, data: Buffer.alloc(1), fin: false})],
	['a ping of 200 bytes', 'v5.channel.k8s.io', 1002, /invalid payload length 126/, client => client.send({opcode: Opcode.PING, data: Buffer.alloc(200)})],
	[
		'a text that is no UTF-8',
		'base64.channel.k8s.io',
		1007,
		/invalid UTF-8/,
		client => client.send({opcode: Opcode.TEXT, data: Buffer.from([0x30, 0xff, 0xfe])}),
	],
	[
		'text that is no base64',
		'base64.channel.k8s.io',
		1002,
		/message on channel 0: not base64/,
		client => client.send({opcode: Opcode.TEXT, data: Buffer.from('0%%%%')}),
	],
	[
		'a close signal for no channel',
		'v5.channel.k8s.io',
		1002,
		/close signal \[9\]/,
		client => client.send({opcode: Opcode.BINARY, data: Buffer.from([255, 9])}),
	],
	[
		'a close signal without a channel',
		'v5.channel.k8s.io',
		1002,
		/close signal \[\]/,
		client => client.send({opcode: Opcode.BINARY, data: Buffer.from([255])}),
	],
];
for (const [what, subprotocol, code, reason, attack] of hostile) {
	test(`a client that sends ${what} is cut off with ${code}, and the log says why`, async t => {
		const {server, warned} = await serverWith(t);
		const program = fakeSession();
		const {client} = await connectWebSocket(
			server.execUrl(plain, async () => program.session),
			subprotocol,
		);
		attack(client!);
		await program.killed;
		await client!.until(() => client!.close !== null);
		t.like(client!.close, {code});
		await client!.closed;
		t.regex(warned[0]!.err.message, reason);
		t.is(
			(
				await connectWebSocket(
					server.execUrl(plain, async () => fakeSession().session),
					subprotocol,
				)
			).statusCode,
			101,
		);
	});
}

test('fragments that add up to more than the limit are cut off before they are held', async t => {
	const {server, warned} = await serverWith(t);
	const program = fakeSession();
	const {client} = await connectWebSocket(
		server.execUrl(plain, async () => program.session),
		'v5.channel.k8s.io',
	);
	const before = process.memoryUsage().arrayBuffers;
	client!.send({opcode: Opcode.BINARY, data: Buffer.alloc(MIB), fin: false});
	let most = 0;
	for (let index = 0; index < 64 && client!.close === null; index++) {
		client!.send({opcode: Opcode.CONTINUATION, data: Buffer.alloc(MIB), fin: false});
		await systemClock.sleep(5);
		most = Math.max(most, process.memoryUsage().arrayBuffers - before);
	}
	await program.killed;
	t.like(client!.close, {code: 1009});
	// The limit, what the two sockets hold, and the client's own frames.
	t.true(most < 64 * MIB, `${most} bytes`);
	t.regex(warned[0]!.err.message, /Max payload size exceeded/);
});

test('a client that sends pings and reads nothing is cut off, not written for without bound', async t => {
	const {server} = await serverWith(t);
	const program = fakeSession();
	const {client} = await connectWebSocket(
		server.execUrl(plain, async () => program.session),
		'v5.channel.k8s.io',
	);
	client!.socket.pause();
	const pings = Buffer.concat(Array.from({length: 10_000}, () => toFrame({opcode: Opcode.PING, data: Buffer.alloc(125)})));
	const before = process.memoryUsage().arrayBuffers;
	for (let index = 0; index < 200 && !client!.socket.destroyed; index++) {
		client!.socket.write(pings);
		await systemClock.sleep(5);
	}
	await program.killed;
	t.true(process.memoryUsage().arrayBuffers - before < 128 * MIB);
});

const refused: readonly (readonly [string, string, Readonly<Record<string, string>>, string, number, RegExp])[] = [
	[
		'unknown subprotocols',
		'v9.channel.k8s.io, graphql-ws',
		{},
		'GET',
		403,
		/none of "v9\.channel\.k8s\.io, graphql-ws" is supported; known are v5\.channel\.k8s\.io/,
	],
	['a subprotocol of port-forward', 'SPDY/3.1+portforward.k8s.io', {}, 'GET', 403, /none of "SPDY\/3\.1\+portforward\.k8s\.io"/],
	['another method', 'v5.channel.k8s.io', {}, 'POST', 405, /begins with GET/],
	['an old version', 'v5.channel.k8s.io', {'Sec-WebSocket-Version': '7'}, 'GET', 400, /Sec-WebSocket-Version must be 13, is "7"/],
	['no key', 'v5.channel.k8s.io', {'Sec-WebSocket-Key': 'short'}, 'GET', 400, /Sec-WebSocket-Key must be 16 bytes/],
];
for (const [what, subprotocols, headers, method, statusCode, body] of refused) {
	test(`a WebSocket with ${what} is refused with ${statusCode}, and its token stays good`, async t => {
		const {server} = await serverWith(t);
		const url = server.execUrl(plain, async () => fakeSession().session);
		const answer = await connectWebSocket(url, subprotocols, headers, method);
		t.is(answer.statusCode, statusCode);
		t.regex(answer.body, body);
		t.is((await connectWebSocket(url, 'v5.channel.k8s.io')).statusCode, 101);
		t.like(await connectWebSocket(url, 'v5.channel.k8s.io'), {statusCode: 404, body: 'no such session, or it was used or has expired\n'});
	});
}

/** Fuzz: the same inputs on each run of a seed; the count is printed. FUZZ_SEED and FUZZ_RUNS look further than CI does. */
test('arbitrary bytes and frames in place of the protocol end a session or not, and never the server', async t => {
	const {server} = await serverWith(t);
	const seed = Number(process.env['FUZZ_SEED'] ?? 6455);
	const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);
	const bytes = fc.uint8Array({maxLength: 200}).map(data => Buffer.from(data));
	const frame = fc
		.record({
			opcode: fc.oneof(fc.constantFrom(0, 1, 2, 8, 9, 10), fc.nat(15)),
			data: bytes,
			fin: fc.boolean(),
			masked: fc.oneof({weight: 9, arbitrary: fc.constant(true)}, fc.boolean()),
			reserved: fc.oneof({weight: 9, arbitrary: fc.constant(0)}, fc.constantFrom(0x40, 0x20, 0x10)),
		})
		.map(toFrame);
	let runs = 0;
	await fc.assert(
		fc.asyncProperty(
			fc.constantFrom('v5.channel.k8s.io', 'v4.base64.channel.k8s.io', ''),
			fc.array(fc.oneof(frame, frame, frame, bytes), {maxLength: 12}),
			async (subprotocol, inputs) => {
				const program = fakeSession();
				program.input!.resume();
				const {client} = await connectWebSocket(
					server.execUrl(plain, async () => program.session),
					subprotocol,
				);
				for (const input of inputs) client!.socket.write(input);
				client!.socket.end();
				// The session must end with its client, whatever it was told.
				await program.killed;
				await client!.closed;
				runs++;
			},
		),
		{seed, numRuns},
	);
	t.log(`${runs} sessions of arbitrary frames, seed ${seed}`);
	t.true(runs >= numRuns);
	t.is(
		(
			await connectWebSocket(
				server.execUrl(plain, async () => fakeSession().session),
				'v5.channel.k8s.io',
			)
		).statusCode,
		101,
	);
});
