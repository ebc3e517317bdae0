import {constants, inflateRawSync} from 'node:zlib';
import {InvalidArgumentError} from '../../../base/errors.js';
import {SPDY_DICTIONARY} from './dictionary.js';

/** Names are lower case. */
export type Headers = ReadonlyMap<string, string>;

/** A larger block is refused, compressed or not: streams carry a handful of short headers. */
export const MAX_HEADER_BYTES = 16 * 1024;
/** How far back deflate may refer. */
const WINDOW_BYTES = 32 * 1024;
/** zlib header: deflate, 32 KB window, preset dictionary, check bits (RFC 1950); then the dictionary's Adler-32. */
const ZLIB_HEADER = Buffer.from([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2]);
const FDICT = 0x20;

/**
 * Reads the header blocks of one direction of a connection. They form one zlib stream that is flushed after each block (SPDY/3.1, 2.6.10.1), so every block
 * of the connection must pass through here, in order. As a flush ends on a byte, each is inflated by itself with what came before as its dictionary:
 * no zlib stream of Node's is held open, and `maxOutputLength` stops a bomb.
 */
export class HeaderDecoder {
	#window: Buffer = SPDY_DICTIONARY;
	#begun = false;

	/** @throws {InvalidArgumentError} the connection is of no more use. */
	decode(block: Buffer): Headers {
		const plain = this.#inflate(this.#begun ? block : withoutZlibHeader(block));
		this.#begun = true;
		this.#window = Buffer.concat([this.#window, plain]).subarray(-WINDOW_BYTES);
		return parseBlock(plain);
	}

	#inflate(block: Buffer): Buffer {
		try {
			return inflateRawSync(block, {dictionary: this.#window, finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_HEADER_BYTES});
		} catch (cause) {
			throw new InvalidArgumentError(`header block: ${(cause as Error).message}`, {}, {cause});
		}
	}
}

/** Writes header blocks without compressing them: stored blocks need no state, and the blocks are some ten bytes. */
export class HeaderEncoder {
	#begun = false;

	encode(headers: Headers): Buffer {
		const plain = serializeBlock(headers);
		const stored = Buffer.alloc(5);
		stored.writeUInt16LE(plain.length, 1);
		stored.writeUInt16LE(~plain.length & 0xffff, 3);
		// The empty stored block is what a sync flush ends with: the reader waits for it.
		const parts = [stored, plain, Buffer.from([0, 0, 0, 0xff, 0xff])];
		if (!this.#begun) parts.unshift(ZLIB_HEADER);
		this.#begun = true;
		return Buffer.concat(parts);
	}
}

function withoutZlibHeader(block: Buffer): Buffer {
	const valid = block.length >= ZLIB_HEADER.length && (block[0]! & 0x0f) === 8 && (block[1]! & FDICT) !== 0 && block.readUInt16BE(0) % 31 === 0;
	if (!valid || !block.subarray(2, 6).equals(ZLIB_HEADER.subarray(2)))
		throw new InvalidArgumentError('header block: the first one must begin a zlib stream with the SPDY dictionary');
	return block.subarray(ZLIB_HEADER.length);
}

/** Number of pairs, then name and value, each after its length; all numbers have 32 bits. */
function parseBlock(plain: Buffer): Headers {
	const headers = new Map<string, string>();
	let offset = 0;
	const uint32 = (): number => {
		if (offset + 4 > plain.length) throw new InvalidArgumentError('header block: cut short');
		offset += 4;
		return plain.readUInt32BE(offset - 4);
	};
	const text = (): string => {
		const length = uint32();
		if (offset + length > plain.length) throw new InvalidArgumentError('header block: cut short');
		offset += length;
		return plain.toString('latin1', offset - length, offset);
	};
	for (let pairs = uint32(); pairs > 0; pairs--) {
		const name = text().toLowerCase();
		if (name === '' || headers.has(name)) throw new InvalidArgumentError('header block: a name is empty or occurs twice');
		headers.set(name, text());
	}
	return headers;
}

function serializeBlock(headers: Headers): Buffer {
	const parts: Buffer[] = [uint32Bytes(headers.size)];
	for (const text of [...headers].flat()) parts.push(uint32Bytes(Buffer.byteLength(text, 'latin1')), Buffer.from(text, 'latin1'));
	return Buffer.concat(parts);
}

function uint32Bytes(value: number): Buffer {
	const field = Buffer.alloc(4);
	field.writeUInt32BE(value);
	return field;
}
