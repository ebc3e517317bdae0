import test from 'ava';
import fc from 'fast-check';
import {InvalidArgumentError} from '../../../base/errors.js';
import {controlFrame, dataHead, FrameParser, FrameType, type Frame} from './frames.js';

/** Frames of a byte stream that comes in pieces, with the pieces of one data frame joined again. */
function parse(bytes: Buffer, pieceBytes: number): Frame[] {
	const parser = new FrameParser();
	const frames: Frame[] = [];
	let open = false;
	for (let offset = 0; offset < bytes.length; offset += pieceBytes) {
		for (const frame of parser.push(bytes.subarray(offset, offset + pieceBytes))) {
			const last = frames.at(-1);
			const joins = open && frame.kind === 'data' && last?.kind === 'data' && last.streamId === frame.streamId;
			if (joins) frames[frames.length - 1] = {...last, data: Buffer.concat([last.data, frame.data]), fin: frame.fin};
			else frames.push(frame.kind === 'data' ? {...frame, data: Buffer.from(frame.data)} : frame);
			open = frame.kind === 'data' && !frame.fin;
		}
	}
	return frames;
}

const streamId = fc.integer({min: 1, max: 0x7fff_ffff});
// Every data frame ends its stream here, so that joining pieces is unambiguous.
const frame = fc.oneof(
	fc.record({kind: fc.constant('data' as const), streamId, data: fc.uint8Array({maxLength: 300}).map(data => Buffer.from(data)), fin: fc.constant(true)}),
	fc.record({kind: fc.constant('rst-stream' as const), streamId, status: fc.nat(11)}),
	fc.record({kind: fc.constant('ping' as const), id: fc.integer({min: 0, max: 0xffff_ffff})}),
	fc.record({kind: fc.constant('headers' as const), streamId, flags: fc.nat(1), block: fc.uint8Array({maxLength: 300}).map(block => Buffer.from(block))}),
	fc.record({kind: fc.constant('syn-stream' as const), streamId, flags: fc.nat(3), block: fc.uint8Array({maxLength: 300}).map(block => Buffer.from(block))}),
);

function serialize(value: Frame): Buffer {
	switch (value.kind) {
		case 'data':
			return Buffer.concat([dataHead(value.streamId, value.data.length, value.fin), value.data]);
		case 'rst-stream':
			return controlFrame(FrameType.RST_STREAM, 0, value.streamId, value.status);
		case 'ping':
			return controlFrame(FrameType.PING, 0, value.id);
		case 'headers':
			return controlFrame(FrameType.HEADERS, value.flags, value.streamId, value.block);
		case 'syn-stream':
			return controlFrame(FrameType.SYN_STREAM, value.flags, value.streamId, 0, Buffer.alloc(2), value.block);
		default:
			throw new Error(value.kind);
	}
}

test('frames come out as they went in, however the bytes are cut', t => {
	fc.assert(
		fc.property(fc.array(frame, {maxLength: 12}), fc.integer({min: 1, max: 64}), (frames, pieceBytes) => {
			t.deepEqual(parse(Buffer.concat(frames.map(serialize)), pieceBytes), frames);
		}),
		{numRuns: 200},
	);
	t.pass();
});

test('arbitrary bytes are parsed or refused, never anything else', t => {
	fc.assert(
		fc.property(fc.uint8Array({maxLength: 400}), bytes => {
			try {
				parse(Buffer.from(bytes), 7);
			} catch (error) {
				if (!(error instanceof InvalidArgumentError)) throw error;
			}
		}),
		{numRuns: 500},
	);
	t.pass();
});

test('a data frame of 16 MiB is passed on piece by piece', t => {
	const parser = new FrameParser();
	const sizes = [...parser.push(dataHead(1, 0xff_ffff, true))].map(value => value.kind);
	t.deepEqual(sizes, []);
	t.like([...parser.push(Buffer.alloc(1000))][0], {kind: 'data', streamId: 1, fin: false});
});

for (const [what, bytes] of [
	['a PING of 5 bytes', controlFrame(FrameType.PING, 0, 1, Buffer.alloc(1))],
	['a GOAWAY of 4 bytes', controlFrame(FrameType.GOAWAY, 0, 1)],
	['a SYN_STREAM without stream id', controlFrame(FrameType.SYN_STREAM, 0)],
	['a control frame over the limit', controlFrame(FrameType.SETTINGS, 0, Buffer.alloc(32 * 1024 + 1))],
] as const) {
	test(`the parser refuses ${what} as soon as its head is there`, t => {
		t.throws(() => [...new FrameParser().push(bytes.subarray(0, 8))], {instanceOf: InvalidArgumentError});
	});
}
