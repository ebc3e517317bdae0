import {InvalidArgumentError} from '../../../base/errors.js';

/** SPDY/3.1 draft, section 2.6. */
export const FrameType = {SYN_STREAM: 1, SYN_REPLY: 2, RST_STREAM: 3, SETTINGS: 4, PING: 6, GOAWAY: 7, HEADERS: 8, WINDOW_UPDATE: 9} as const;
export const FLAG_FIN = 0x01;
export const FLAG_UNIDIRECTIONAL = 0x02;
/** Of RST_STREAM (2.6.3). */
export const StreamStatus = {PROTOCOL_ERROR: 1, REFUSED_STREAM: 3, CANCEL: 5, INTERNAL_ERROR: 6} as const;
/** Of GOAWAY (2.6.6). */
export const GoAwayStatus = {OK: 0, PROTOCOL_ERROR: 1} as const;

/** Larger control frames are refused. Data frames have no bound of ours: they are passed on in pieces and never held whole. */
export const MAX_CONTROL_BYTES = 32 * 1024;

const HEAD_BYTES = 8;
const VERSION = 3;
/** Fixed lengths, or the least ones where a header block follows. */
const LENGTHS: ReadonlyMap<number, {readonly least: number; readonly exact: boolean}> = new Map([
	[FrameType.SYN_STREAM, {least: 10, exact: false}],
	[FrameType.SYN_REPLY, {least: 4, exact: false}],
	[FrameType.RST_STREAM, {least: 8, exact: true}],
	[FrameType.SETTINGS, {least: 4, exact: false}],
	[FrameType.PING, {least: 4, exact: true}],
	[FrameType.GOAWAY, {least: 8, exact: true}],
	[FrameType.HEADERS, {least: 4, exact: false}],
	[FrameType.WINDOW_UPDATE, {least: 8, exact: true}],
]);

/** What the parser found. `streamId` is 0 where the frame has none. */
export type Frame =
	| {readonly kind: 'data'; readonly streamId: number; readonly data: Buffer; readonly fin: boolean}
	| {readonly kind: 'syn-stream' | 'syn-reply' | 'headers'; readonly streamId: number; readonly flags: number; readonly block: Buffer}
	| {readonly kind: 'rst-stream' | 'go-away'; readonly streamId: number; readonly status: number}
	| {readonly kind: 'ping'; readonly id: number}
	/** SETTINGS, WINDOW_UPDATE and unknown types: nothing to do. */
	| {readonly kind: 'ignored'; readonly type: number};

/** Cuts a byte stream into frames. A data frame may come out in several pieces; `fin` is on the last. */
export class FrameParser {
	#pending: Buffer = Buffer.alloc(0);
	/** The data frame being passed through. */
	#data: {readonly streamId: number; readonly fin: boolean; bytesLeft: number} | null = null;

	/** @throws {InvalidArgumentError} what came is not SPDY/3.1 or too large: the connection is of no more use. */
	*push(chunk: Buffer): Generator<Frame> {
		this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
		for (let frame = this.#next(); frame !== null; frame = this.#next()) yield frame;
	}

	#next(): Frame | null {
		if (this.#data !== null) return this.#nextData(this.#data);
		if (this.#pending.length < HEAD_BYTES) return null;
		const word = this.#pending.readUInt32BE(0);
		const flags = this.#pending[4]!;
		const length = this.#pending.readUIntBE(5, 3);
		if (word >>> 31 === 0) {
			this.#pending = this.#pending.subarray(HEAD_BYTES);
			this.#data = {streamId: word, fin: (flags & FLAG_FIN) !== 0, bytesLeft: length};
			return this.#nextData(this.#data);
		}
		const type = word & 0xffff;
		assertControl(type, (word >>> 16) & 0x7fff, length);
		if (this.#pending.length < HEAD_BYTES + length) return null;
		const body = this.#pending.subarray(HEAD_BYTES, HEAD_BYTES + length);
		this.#pending = this.#pending.subarray(HEAD_BYTES + length);
		return toControlFrame(type, flags, body);
	}

	#nextData(frame: {readonly streamId: number; readonly fin: boolean; bytesLeft: number}): Frame | null {
		if (this.#pending.length === 0 && frame.bytesLeft > 0) return null;
		const data = this.#pending.subarray(0, frame.bytesLeft);
		this.#pending = this.#pending.subarray(data.length);
		frame.bytesLeft -= data.length;
		if (frame.bytesLeft === 0) this.#data = null;
		return {kind: 'data', streamId: frame.streamId, data, fin: frame.fin && frame.bytesLeft === 0};
	}
}

/** The head of a data frame of `lengthBytes` (at most 2^24 - 1). */
export function dataHead(streamId: number, lengthBytes: number, fin: boolean): Buffer {
	const head = Buffer.alloc(HEAD_BYTES);
	head.writeUInt32BE(streamId, 0);
	head[4] = fin ? FLAG_FIN : 0;
	head.writeUIntBE(lengthBytes, 5, 3);
	return head;
}

export function controlFrame(type: number, flags: number, ...body: readonly (number | Buffer)[]): Buffer {
	const parts = body.map(part => (typeof part === 'number' ? uint32Bytes(part) : part));
	const head = Buffer.alloc(HEAD_BYTES);
	head.writeUInt32BE((0x8000_0000 + VERSION * 0x1_0000 + type) >>> 0, 0);
	head[4] = flags;
	head.writeUIntBE(
		parts.reduce((sum, part) => sum + part.length, 0),
		5,
		3,
	);
	return Buffer.concat([head, ...parts]);
}

function assertControl(type: number, version: number, length: number): void {
	if (version !== VERSION) throw new InvalidArgumentError(`control frame of SPDY version ${version}, must be ${VERSION}`);
	if (length > MAX_CONTROL_BYTES) throw new InvalidArgumentError(`control frame of ${length} bytes, at most ${MAX_CONTROL_BYTES} are accepted`);
	const rule = LENGTHS.get(type);
	if (rule !== undefined && (length < rule.least || (rule.exact && length !== rule.least)))
		throw new InvalidArgumentError(`control frame of type ${type} has ${length} bytes, must have ${rule.least}`);
}

function toControlFrame(type: number, flags: number, body: Buffer): Frame {
	// The highest bit of an id is reserved. Not `& 0x7fffffff` on a signed 32-bit value by accident: >>> keeps it positive.
	const id = (): number => (body.readUInt32BE(0) & 0x7fff_ffff) >>> 0;
	switch (type) {
		case FrameType.SYN_STREAM:
			return {kind: 'syn-stream', streamId: id(), flags, block: body.subarray(10)};
		case FrameType.SYN_REPLY:
			return {kind: 'syn-reply', streamId: id(), flags, block: body.subarray(4)};
		case FrameType.HEADERS:
			return {kind: 'headers', streamId: id(), flags, block: body.subarray(4)};
		case FrameType.RST_STREAM:
			return {kind: 'rst-stream', streamId: id(), status: body.readUInt32BE(4)};
		case FrameType.GOAWAY:
			return {kind: 'go-away', streamId: id(), status: body.readUInt32BE(4)};
		case FrameType.PING:
			return {kind: 'ping', id: body.readUInt32BE(0)};
		default:
			return {kind: 'ignored', type};
	}
}

function uint32Bytes(value: number): Buffer {
	const field = Buffer.alloc(4);
	field.writeUInt32BE(value);
	return field;
}
