import {ResourceExhaustedError} from '../../../base/errors.js';

/**
 * ttrpc's framing: a header of 10 bytes (u32 length of the data, u32 stream, u8 type, u8 flags, big-endian), then the data.
 *
 * @see github.com/containerd/ttrpc, PROTOCOL.md.
 */
export const FRAME_HEADER_BYTES = 10;
/** What an implementation may refuse beyond. */
export const MAX_FRAME_BYTES = 4 << 20;

export const FrameType = {request: 1, response: 2, data: 3} as const;

export interface Frame {
	readonly streamId: number;
	/** Of FrameType; others are for the reader to pass over. */
	readonly type: number;
	readonly flags: number;
	readonly data: Buffer;
}

/** @throws {ResourceExhaustedError} more than MAX_FRAME_BYTES of data. */
export function encodeFrame({streamId, type, flags, data}: Frame): Buffer {
	assertSize(data.length);
	const header = Buffer.alloc(FRAME_HEADER_BYTES);
	header.writeUInt32BE(data.length, 0);
	header.writeUInt32BE(streamId, 4);
	header.writeUInt8(type, 8);
	header.writeUInt8(flags, 9);
	return Buffer.concat([header, data]);
}

/** Puts frames together from what a socket gives. */
export class FrameReader {
	#chunks: Buffer[] = [];
	#bytes = 0;

	/**
	 * @returns the frames that are whole now, in order.
	 * @throws {ResourceExhaustedError} a frame says that it is larger than MAX_FRAME_BYTES; nothing more can be read then.
	 */
	push(chunk: Buffer): readonly Frame[] {
		this.#chunks.push(chunk);
		this.#bytes += chunk.length;
		const frames: Frame[] = [];
		while (this.#bytes >= FRAME_HEADER_BYTES) {
			const size = FRAME_HEADER_BYTES + this.#length();
			if (this.#bytes < size) break;
			frames.push(this.#take(size));
		}
		return frames;
	}

	/** Of the data of the frame at the front, whose header is here. */

	#length(): number {
		const length = this.#joined().readUInt32BE(0);
		assertSize(length);
		return length;
	}

	#joined(): Buffer {
		const [first] = this.#chunks;
		if (first !== undefined && first.length >= FRAME_HEADER_BYTES) return first;
		const joined = Buffer.concat(this.#chunks);
		this.#chunks = [joined];
		return joined;
	}

	#take(size: number): Frame {
		const all = this.#chunks.length === 1 ? (this.#chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#chunks);
		const rest = all.subarray(size);
		this.#chunks = rest.length === 0 ? [] : [rest];
		this.#bytes -= size;
		return {streamId: all.readUInt32BE(4), type: all.readUInt8(8), flags: all.readUInt8(9), data: all.subarray(FRAME_HEADER_BYTES, size)};
	}
}

function assertSize(bytes: number): void {
	if (bytes > MAX_FRAME_BYTES) throw new ResourceExhaustedError(`ttrpc: a message of ${bytes} bytes is over the limit of ${MAX_FRAME_BYTES}`, {bytes});
}
