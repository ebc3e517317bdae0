import {CorruptError} from '../../../base/errors.js';

/** A value with its type, as signature "v" carries it. */
export interface Variant {
	readonly signature: string;
	readonly value: DbusValue;
}
/** y b n q i u: number (b: boolean); x t: bigint; s o g: string; v: Variant; a and (): array. */
export type DbusValue = number | boolean | bigint | string | Variant | readonly DbusValue[];

/** A string, and '' for what is none. */
export function toText(value: DbusValue | undefined): string {
	return typeof value === 'string' ? value : '';
}

/** D-Bus specification, "Type System": the wire's alignment of each type that is used here. */
const ALIGNMENT: Readonly<Record<string, number>> = {y: 1, b: 4, n: 2, q: 2, i: 4, u: 4, x: 8, t: 8, s: 4, o: 4, g: 1, v: 1, a: 4, '(': 8, '{': 8};
const MAX_DEPTH = 16;

/** "sa(sv)u" → ["s", "a(sv)", "u"]. @throws {CorruptError} not a signature. */
export function splitSignature(signature: string): readonly string[] {
	const types: string[] = [];
	for (let at = 0; at < signature.length; ) {
		const end = endOfType(signature, at, 0);
		types.push(signature.slice(at, end));
		at = end;
	}
	return types;
}

function endOfType(signature: string, at: number, depth: number): number {
	const letter = signature[at];
	if (letter === undefined || ALIGNMENT[letter] === undefined || depth > MAX_DEPTH) throw new CorruptError(`"${signature}" is no D-Bus signature`);
	if (letter === 'a') return endOfType(signature, at + 1, depth + 1);
	if (letter !== '(' && letter !== '{') return at + 1;
	const close = letter === '(' ? ')' : '}';
	let next = at + 1;
	while (signature[next] !== close) next = endOfType(signature, next, depth + 1);
	// An array of what takes no bytes would never end.
	if (next === at + 1) throw new CorruptError(`"${signature}" is no D-Bus signature: "${letter}${close}" is empty`);
	return next + 1;
}

/** Writes little-endian values; alignment counts from the writer's beginning. */
export class DbusWriter {
	#bytes = Buffer.alloc(256);
	#length = 0;

	finish(): Buffer {
		return this.#bytes.subarray(0, this.#length);
	}

	align(to: number): this {
		this.#grow((to - (this.#length % to)) % to);
		return this;
	}

	/** Values in the order of the signature's types. */
	all(signature: string, values: readonly DbusValue[]): this {
		for (const [index, type] of splitSignature(signature).entries()) this.#one(type, values[index] as DbusValue);
		return this;
	}

	#one(type: string, value: DbusValue): void {
		const [letter = ''] = type;
		this.align(ALIGNMENT[letter] ?? 1);
		switch (letter) {
			case 'y':
				this.#number(1, (bytes, at) => bytes.writeUInt8(value as number, at));
				return;
			case 'b':
				this.#number(4, (bytes, at) => bytes.writeUInt32LE(value === true ? 1 : 0, at));
				return;
			case 'u':
				this.#number(4, (bytes, at) => bytes.writeUInt32LE(value as number, at));
				return;
			case 'i':
				this.#number(4, (bytes, at) => bytes.writeInt32LE(value as number, at));
				return;
			case 't':
				this.#number(8, (bytes, at) => bytes.writeBigUInt64LE(value as bigint, at));
				return;
			case 's':
			case 'o':
				this.#text(value as string, 4);
				return;
			case 'g':
				this.#text(value as string, 1);
				return;
			case 'v':
				this.#text((value as Variant).signature, 1);
				this.#one((value as Variant).signature, (value as Variant).value);
				return;
			case 'a':
				this.#array(type.slice(1), value as readonly DbusValue[]);
				return;
			case '(':
			case '{':
				this.all(type.slice(1, -1), value as readonly DbusValue[]);
				return;
			default:
				throw new CorruptError(`D-Bus type "${type}" is not written`);
		}
	}

	/** The buffer may be another one after it has grown. */
	#number(bytes: number, write: (buffer: Buffer, at: number) => void): void {
		const at = this.#grow(bytes);
		write(this.#bytes, at);
	}

	#text(text: string, lengthBytes: 1 | 4): void {
		const length = Buffer.byteLength(text);
		const at = this.#grow(lengthBytes);
		if (lengthBytes === 1) this.#bytes.writeUInt8(length, at);
		else this.#bytes.writeUInt32LE(length, at);
		const start = this.#grow(length + 1);
		this.#bytes.write(text, start);
	}

	/** The length does not count the padding before the first element. */
	#array(type: string, values: readonly DbusValue[]): void {
		const lengthAt = this.#grow(4);
		this.align(ALIGNMENT[type[0] ?? ''] ?? 1);
		const start = this.#length;
		for (const value of values) this.#one(type, value);
		this.#bytes.writeUInt32LE(this.#length - start, lengthAt);
	}

	/** @returns where the new bytes, all 0, begin. */
	#grow(by: number): number {
		const at = this.#length;
		this.#length += by;
		if (this.#length > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(Math.max(this.#length, this.#bytes.length))]);
		return at;
	}
}

/** Reads what DbusWriter writes, and what a bus of a little-endian machine does. @throws {CorruptError} */
export class DbusReader {
	readonly #bytes: Buffer;
	#at: number;

	constructor(bytes: Buffer, at = 0) {
		this.#bytes = bytes;
		this.#at = at;
	}

	all(signature: string): DbusValue[] {
		return splitSignature(signature).map(type => this.#one(type, 0));
	}

	align(to: number): void {
		this.#take((to - (this.#at % to)) % to);
	}

	get position(): number {
		return this.#at;
	}

	#one(type: string, depth: number): DbusValue {
		if (depth > MAX_DEPTH) throw new CorruptError('a D-Bus value is nested too deeply');
		const [letter = ''] = type;
		this.align(ALIGNMENT[letter] ?? 1);
		switch (letter) {
			case 'y':
				return this.#bytes.readUInt8(this.#take(1));
			case 'b':
				return this.#bytes.readUInt32LE(this.#take(4)) !== 0;
			case 'n':
				return this.#bytes.readInt16LE(this.#take(2));
			case 'q':
				return this.#bytes.readUInt16LE(this.#take(2));
			case 'i':
				return this.#bytes.readInt32LE(this.#take(4));
			case 'u':
				return this.#bytes.readUInt32LE(this.#take(4));
			case 'x':
				return this.#bytes.readBigInt64LE(this.#take(8));
			case 't':
				return this.#bytes.readBigUInt64LE(this.#take(8));
			case 's':
			case 'o':
				return this.#text(this.#bytes.readUInt32LE(this.#take(4)));
			case 'g':
				return this.#text(this.#bytes.readUInt8(this.#take(1)));
			case 'v': {
				const signature = this.#text(this.#bytes.readUInt8(this.#take(1)));
				const types = splitSignature(signature);
				if (types.length !== 1) throw new CorruptError(`a D-Bus variant has the signature "${signature}", must be one type`);
				return {signature, value: this.#one(signature, depth + 1)};
			}
			case 'a':
				return this.#array(type.slice(1), depth);
			case '(':
			case '{':
				return splitSignature(type.slice(1, -1)).map(member => this.#one(member, depth + 1));
			default:
				throw new CorruptError(`D-Bus type "${type}" is not read`);
		}
	}

	#array(type: string, depth: number): DbusValue[] {
		const length = this.#bytes.readUInt32LE(this.#take(4));
		this.align(ALIGNMENT[type[0] ?? ''] ?? 1);
		const end = this.#at + length;
		if (end > this.#bytes.length) throw new CorruptError('a D-Bus array is longer than its message');
		const values: DbusValue[] = [];
		while (this.#at < end) {
			values.push(this.#one(type, depth + 1));
			if (this.#at > end) throw new CorruptError('an element of a D-Bus array is longer than the array');
		}
		return values;
	}

	#text(length: number): string {
		const at = this.#take(length + 1);
		return this.#bytes.toString('utf8', at, at + length);
	}

	#take(count: number): number {
		const at = this.#at;
		if (at + count > this.#bytes.length) throw new CorruptError('a D-Bus message ends within a value');
		this.#at += count;
		return at;
	}
}
