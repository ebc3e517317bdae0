import test from 'ava';
import fc from 'fast-check';
import {silentLog} from '../../../base/log.js';
import {connect, FakeClient, fakeSession} from '../fake-client.js';
import {openStreamingServer, type StreamedExec} from '../server.js';
import {controlFrame, dataHead, FrameType} from './frames.js';

const plain: StreamedExec = {containerId: 'c1', command: ['sh'], tty: true, stdin: true, stdout: true, stderr: false};
const TYPES = ['error', 'stdin', 'stdout', 'resize'] as const;
/** The same inputs on each run; FUZZ_SEED and FUZZ_RUNS look further than CI does. */
const seed = Number(process.env['FUZZ_SEED'] ?? 31);
const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);

const streamId = fc.oneof(fc.constantFrom(1, 3, 5, 7, 9), fc.integer({min: 0, max: 0x7fff_ffff}));
const bytes = fc.uint8Array({maxLength: 120}).map(data => Buffer.from(data));
/** Frames whose heads are good, with any content; and bytes that are no frames at all. */
const frame = fc.oneof(
	fc.tuple(streamId, bytes, fc.boolean()).map(([id, data, fin]) => Buffer.concat([dataHead(id, data.length, fin), data])),
	fc.tuple(fc.constantFrom(...Object.values(FrameType)), fc.nat(3), bytes).map(([type, flags, body]) => controlFrame(type, flags, body)),
	fc.tuple(streamId, bytes).map(([id, block]) => controlFrame(FrameType.HEADERS, 0, id, block)),
	fc.tuple(streamId, fc.nat(12)).map(([id, status]) => controlFrame(FrameType.RST_STREAM, 0, id, status)),
	fc.nat().map(id => controlFrame(FrameType.PING, 0, id)),
	bytes,
);

test('arbitrary frames, before and between the streams of a session, end it or not, and never the server', async t => {
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog);
	t.teardown(async () => await server.close());
	let runs = 0;
	let opened = 0;
	await fc.assert(
		fc.asyncProperty(fc.array(frame, {maxLength: 8}), fc.array(frame, {maxLength: 8}), fc.nat(4), async (before, after, streams) => {
			const program = fakeSession(plain);
			program.input!.resume();
			const begun = {yes: false};
			const url = server.execUrl(plain, async () => {
				begun.yes = true;
				opened++;
				return program.session;
			});
			const {client} = await connect(url);
			for (const type of TYPES.slice(0, streams)) await client!.open({streamType: type});
			for (const input of before) client!.socket.write(input);
			for (const type of TYPES.slice(streams)) await client!.open({streamType: type});
			for (const input of after) client!.socket.write(input);
			client!.socket.end();
			await client!.closed;
			if (begun.yes) await program.killed;
			runs++;
		}),
		{seed, numRuns},
	);
	t.log(`${runs} sessions of arbitrary frames, ${opened} of which began, seed ${seed}`);
	t.true(runs >= numRuns);
	t.true(opened > 0 && opened < runs);
	t.is((await connect(server.execUrl(plain, async () => fakeSession().session))).statusCode, 101);
});

test('one bit of a good session is wrong: it ends or not, and never the server', async t => {
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog);
	t.teardown(async () => await server.close());
	const good: Buffer[] = [];
	const recorder = new FakeClient({once() {}, on() {}, write: (data: Buffer) => good.push(data)} as never, Buffer.alloc(0));
	for (const streamType of TYPES) await recorder.open({streamType});
	recorder.write(3, 'input');
	recorder.write(7, '{"Width":80,"Height":24}');
	const session = Buffer.concat(good);
	let runs = 0;
	await fc.assert(
		fc.asyncProperty(fc.nat(session.length * 8 - 1), async bit => {
			const bent = Buffer.from(session);
			bent[bit >> 3]! ^= 1 << (bit & 7);
			const program = fakeSession(plain);
			program.input!.resume();
			const {client} = await connect(server.execUrl(plain, async () => program.session));
			client!.socket.end(bent);
			await client!.closed;
			runs++;
		}),
		{seed, numRuns},
	);
	t.log(`${runs} sessions with a wrong bit, seed ${seed}`);
	t.true(runs >= numRuns);
	t.is((await connect(server.execUrl(plain, async () => fakeSession().session))).statusCode, 101);
});
