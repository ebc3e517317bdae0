import {CorruptError} from '../base/errors.js';
import {HEADER_BYTES, MAX_BODY_BYTES, PROTOCOL_MAGIC, TAG, TLV_FLAG, TLV_HEADER_BYTES} from './protocol-numbers.js';

/** The wire form of native/protocol.h: a header, then a body of tagged values. */
export interface Header {
	readonly version: number;
	readonly type: number;
	readonly requestId: number;
	/** 0 or an errno. */
	readonly status: number;
	readonly flags: number;
	readonly bodyBytes: number;
}

export function encodeHeader(header: Header): Buffer {
	const bytes = Buffer.allocUnsafe(HEADER_BYTES);
	bytes.writeUInt32LE(PROTOCOL_MAGIC, 0);
	bytes.writeUInt16LE(header.version, 4);
	bytes.writeUInt16LE(header.type, 6);
	bytes.writeUInt32LE(header.requestId, 8);
	bytes.writeInt32LE(header.status, 12);
	bytes.writeUInt32LE(header.flags, 16);
	bytes.writeUInt32LE(header.bodyBytes, 20);
	return bytes;
}

/** @throws {CorruptError} */
export function decodeHeader(message: Buffer): Header {
	if (message.length < HEADER_BYTES) throw new CorruptError(`message of ${message.length} bytes is shorter than its header`);
	if (message.readUInt32LE(0) !== PROTOCOL_MAGIC) throw new CorruptError("message does not start with the protocol's magic number");
	const bodyBytes = message.readUInt32LE(20);
	if (bodyBytes > MAX_BODY_BYTES) throw new CorruptError(`message body of ${bodyBytes} bytes is longer than ${MAX_BODY_BYTES}`);
	return {
		version: message.readUInt16LE(4),
		type: message.readUInt16LE(6),
		requestId: message.readUInt32LE(8),
		status: message.readInt32LE(12),
		flags: message.readUInt32LE(16),
		bodyBytes,
	};
}

/** Builds a body. The order of values with different tags means nothing. */
export class BodyWriter {
	#bytes = Buffer.allocUnsafe(512);
	#length = 0;

	finish(): Buffer {
		return this.#bytes.subarray(0, this.#length);
	}

	u32(tag: number, value: number): this {
		const at = this.#start(tag, 4);
		this.#bytes.writeUInt32LE(value >>> 0, at);
		return this;
	}

	u64(tag: number, value: bigint): this {
		const at = this.#start(tag, 8);
		this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, value), at);
		return this;
	}

	/** false is what a missing tag means. */
	bool(tag: number, value: boolean): this {
		return value ? this.u32(tag, 1) : this;
	}

	bytes(tag: number, value: Uint8Array): this {
		const at = this.#start(tag, value.length);
		this.#bytes.set(value, at);
		return this;
	}

	string(tag: number, value: string): this {
		return this.bytes(tag, Buffer.from(value, 'utf8'));
	}

	strings(tag: number, values: readonly string[]): this {
		for (const value of values) this.string(tag, value);
		return this;
	}

	group(tag: number, write: (body: this) => void): this {
		const at = this.#start(tag, 0);
		write(this);
		this.#bytes.writeUInt32LE(this.#length - at, at - 4);
		return this;
	}

	/** Where the value goes. */
	#start(tag: number, length: number): number {
		const end = this.#length + TLV_HEADER_BYTES + length;
		if (end > this.#bytes.length) {
			const larger = Buffer.allocUnsafe(Math.max(end, this.#bytes.length * 2));
			this.#bytes.copy(larger, 0, 0, this.#length);
			this.#bytes = larger;
		}
		this.#bytes.writeUInt16LE(tag, this.#length);
		this.#bytes.writeUInt16LE(0, this.#length + 2);
		this.#bytes.writeUInt32LE(length, this.#length + 4);
		this.#length = end;
		return end - length;
	}
}

const KNOWN_TAGS: ReadonlySet<number> = new Set<number>(Object.values(TAG));

/** Reads a body. @throws {CorruptError} when it is malformed, or has a value that this version must not ignore. */
export class BodyReader {
	readonly #values = new Map<number, Buffer[]>();

	constructor(body: Buffer) {
		for (let at = 0; at < body.length; ) {
			if (body.length - at < TLV_HEADER_BYTES) throw new CorruptError('message body ends within a tag');
			const tag = body.readUInt16LE(at);
			const flags = body.readUInt16LE(at + 2);
			const start = at + TLV_HEADER_BYTES;
			at = start + body.readUInt32LE(at + 4);
			if (at > body.length) throw new CorruptError(`tag ${tag} is longer than its message body`, {tag});
			if (KNOWN_TAGS.has(tag)) this.#add(tag, body.subarray(start, at));
			else if ((flags & TLV_FLAG.OPTIONAL) === 0) throw new CorruptError(`unknown tag ${tag} in a message`, {tag});
		}
	}

	#add(tag: number, value: Buffer): void {
		const values = this.#values.get(tag);
		if (values === undefined) this.#values.set(tag, [value]);
		else values.push(value);
	}

	has(tag: number): boolean {
		return this.#values.has(tag);
	}

	u32(tag: number, missing?: number): number {
		const value = this.#one(tag, 4);
		return value === null ? orRefuse(tag, missing) : value.readUInt32LE(0);
	}

	u64(tag: number, missing?: bigint): bigint {
		const value = this.#one(tag, 8);
		return value === null ? orRefuse(tag, missing) : value.readBigUInt64LE(0);
	}

	bool(tag: number): boolean {
		return this.u32(tag, 0) !== 0;
	}

	string(tag: number, missing?: string): string {
		const value = this.#one(tag, null);
		return value === null ? orRefuse(tag, missing) : value.toString('utf8');
	}

	u32s(tag: number): readonly number[] {
		return this.#list(tag).map(value => checkLength(tag, value, 4).readUInt32LE(0));
	}

	groups(tag: number): readonly BodyReader[] {
		return this.#list(tag).map(value => new BodyReader(value));
	}

	#list(tag: number): readonly Buffer[] {
		return this.#values.get(tag) ?? [];
	}

	#one(tag: number, length: number | null): Buffer | null {
		const [value, second] = this.#list(tag);
		if (value === undefined) return null;
		if (second !== undefined) throw new CorruptError(`tag ${tag} comes twice in a message`, {tag});
		return length === null ? value : checkLength(tag, value, length);
	}
}

function checkLength(tag: number, value: Buffer, length: number): Buffer {
	if (value.length !== length) throw new CorruptError(`tag ${tag} has ${value.length} bytes instead of ${length}`, {tag});
	return value;
}

function orRefuse<T>(tag: number, missing: T | undefined): T {
	if (missing === undefined) throw new CorruptError(`tag ${tag} is missing in a message`, {tag});
	return missing;
}
