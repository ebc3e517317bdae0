import test, {type ExecutionContext} from 'ava';
import {once} from 'node:events';
import {systemClock} from '../../../base/clock.js';
import {silentLog} from '../../../base/log.js';
import {connect, fakeSession, spdyHeaders, type FakeClient} from '../fake-client.js';
import {openStreamingServer, type StreamedExec, type StreamingTimes} from '../server.js';
import {controlFrame, FrameType} from './frames.js';

const plain: StreamedExec = {containerId: 'c1', command: ['sh'], tty: false, stdin: true, stdout: true, stderr: true};
const times: StreamingTimes = {streamsTimeoutMs: 5000, limits: {maxStreams: 8, pingIntervalMs: 60_000, idleTimeoutMs: 60_000}};

async function serverWith(t: ExecutionContext) {
	const warned: {readonly err: Error}[] = [];
	const log = {...silentLog, warn: (fields: object) => void warned.push(fields as {readonly err: Error})};
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, log, times);
	t.teardown(async () => await server.close());
	return Object.assign(server, {warned});
}

/** A client whose streams are open, and the session behind it. */
async function sessionWith(t: ExecutionContext, request: Partial<StreamedExec> = {}) {
	const wanted = {...plain, ...request};
	const server = await serverWith(t);
	const program = fakeSession(wanted);
	const {client} = await connect(server.execUrl(wanted, async () => program.session));
	const ids: Record<string, number> = {};
	for (const streamType of ['error', ...(wanted.stdin ? ['stdin'] : []), 'stdout', 'stderr']) ids[streamType] = await client!.open({streamType});
	return {client: client!, program, ids};
}

const refused: readonly (readonly [string, Readonly<Record<string, string | string[]>>, string, number, RegExp])[] = [
	['no upgrade', {}, '', 400, /upgrade to SPDY\/3\.1 or WebSocket is required/],
	['another protocol', {...spdyHeaders, Upgrade: 'h2c'}, '', 400, /only "Upgrade: SPDY\/3\.1" and "Upgrade: websocket"/],
	['no channel version', {Connection: 'Upgrade', Upgrade: 'SPDY/3.1'}, '', 400, /X-Stream-Protocol-Version is required/],
	['unknown channel versions', {...spdyHeaders, 'X-Stream-Protocol-Version': ['v9.channel.k8s.io']}, '', 403, /v9\.channel\.k8s\.io/],
	['an unknown token', spdyHeaders, 'x', 404, /no such session/],
	['a path beside', spdyHeaders, '/../other', 404, /no such session/],
];
for (const [what, headers, suffix, statusCode, body] of refused) {
	test(`a request with ${what} is refused with ${statusCode}`, async t => {
		const server = await serverWith(t);
		const url = server.execUrl(plain, async () => t.fail() as never);
		const answer = await connect(url + suffix, headers);
		t.is(answer.statusCode, statusCode);
		t.regex(answer.body, body);
		if (statusCode === 403) t.regex(String(answer.headers['x-accepted-stream-protocol-versions']), /v4\.channel\.k8s\.io/);
	});
}

/** What a hostile client sends after its upgrade; each must end its connection, and no other. */
const hostile: readonly (readonly [string, RegExp, (client: FakeClient) => Promise<void>])[] = [
	[
		'a control frame that is too large',
		/control frame of 40004 bytes/,
		async client => void client.socket.write(controlFrame(FrameType.HEADERS, 0, 1, Buffer.alloc(40_000))),
	],
	['another SPDY version', /SPDY version 2/, async client => void client.socket.write(Buffer.from([0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]))],
	['headers that unpack to megabytes', /header block: /, async client => void (await client.open({streamtype: 'x'.repeat(5_000_000)}))],
	[
		'headers that are no zlib stream',
		/must begin a zlib stream/,
		async client => void client.socket.write(controlFrame(FrameType.SYN_STREAM, 0, 1, 0, Buffer.from('..some text..'))),
	],
	['an even stream id', /stream id 2 after 0/, async client => void (await client.openAs(2, {streamtype: 'error'}))],
	[
		'a stream id twice',
		/stream id 1 after 1/,
		async client => void (await client.openAs(1, {streamtype: 'error'}), await client.openAs(1, {streamtype: 'stdin'})),
	],
];
for (const [what, reason, attack] of hostile) {
	test(`a client that sends ${what} gets GOAWAY and is cut off, and the log says why`, async t => {
		const server = await serverWith(t);
		const {client} = await connect(server.execUrl(plain, async () => t.fail() as never));
		await attack(client!);
		await client!.closed;
		t.like(client!.frames.at(-1), {kind: 'go-away', status: 1});
		t.true(
			server.warned.some(({err}) => reason.test(err.message)),
			server.warned[0]?.err.message,
		);
		t.is((await connect(server.execUrl(plain, async () => t.fail() as never))).statusCode, 101);
	});
}

test('data before its stream, after its FIN, for a stream that never was or that the client may not write to goes nowhere, the session goes on', async t => {
	const server = await serverWith(t);
	const program = fakeSession();
	const {client} = await connect(server.execUrl(plain, async () => program.session));
	client!.write(1, 'before there is any stream', true);
	client!.write(3, 'early');
	const ids: Record<string, number> = {};
	for (const streamType of ['error', 'stdin', 'stdout', 'stderr']) ids[streamType] = await client!.open({streamType});
	for (let index = 0; index < 20; index++) client!.write(ids['stdout']!, Buffer.alloc(100_000));
	client!.write(ids['stdin']!, 'good');
	await once(program.input!, 'readable');
	client!.write(ids['stdin']!, '', true);
	client!.write(ids['stdin']!, 'after the end');
	client!.write(ids['stdin']!, 'and again', true);
	client!.write(99, 'for nobody', true);
	client!.write(2, 'for one of the server');
	let input = '';
	for await (const chunk of program.input!) input += String(chunk);
	t.is(input, 'good');
	program.stdout.write('out');
	program.exit(0);
	t.is(await client!.text(ids['stdout']!), 'out');
	t.regex(await client!.text(ids['error']!), /Success/);
});

test('streams that were not asked for are refused, the session goes on', async t => {
	const {client, program, ids} = await sessionWith(t, {stdin: false});
	const extra = await client.open({streamtype: 'error'});
	t.like(await client.until('rst-stream'), {streamId: extra, status: 3});
	client.write(extra, 'into the void', true);
	program.exit(0);
	t.regex(await client.text(ids['error']!), /Success/);
});

test('a client that resets its output stream still learns how the command ended', async t => {
	const {client, program, ids} = await sessionWith(t);
	client.socket.write(controlFrame(FrameType.RST_STREAM, 0, ids['stdout']!, 5));
	await systemClock.sleep(20);
	for (let index = 0; index < 50; index++) if (!program.stdout.write(Buffer.alloc(100_000))) await once(program.stdout, 'drain');
	program.exit(5);
	t.regex(await client.text(ids['error']!), /"ExitCode","message":"5"/);
});
