import test from 'ava';
import {CorruptError} from '../base/errors.js';
import {BodyReader, BodyWriter, decodeHeader, encodeHeader} from './protocol.js';
import {HEADER_BYTES, TAG, TLV_FLAG} from './protocol-numbers.js';

/** Properties of the daemon's side of the protocol, over inputs that a seed makes: the same seed, the same inputs. */
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const ROUNDS = 20_000;
const TAGS = Object.values(TAG);

class Random {
	#state: number;

	constructor(seed: number) {
		this.#state = seed === 0 ? 1 : seed >>> 0;
	}

	below(bound: number): number {
		this.#state ^= this.#state << 13;
		this.#state ^= this.#state >>> 17;
		this.#state ^= this.#state << 5;
		return (this.#state >>> 0) % bound;
	}

	bytes(length: number): Buffer {
		return Buffer.from(Array.from({length}, () => this.below(256)));
	}

	pick<T>(all: readonly T[]): T {
		return all[this.below(all.length)] as T;
	}
}

type Value =
	| {readonly tag: number; readonly kind: 'u32'; readonly value: number}
	| {readonly tag: number; readonly kind: 'u64'; readonly value: bigint}
	| {readonly tag: number; readonly kind: 'string'; readonly value: string}
	| {readonly tag: number; readonly kind: 'group'; readonly value: readonly Value[]};

/** Values of different tags, so that each can be asked for again. */
function anyValues(random: Random, depth: number): readonly Value[] {
	const tags = new Set(Array.from({length: random.below(6)}, () => random.pick(TAGS)));
	return [...tags].map((tag): Value => {
		const kind = random.pick(depth < 4 ? (['u32', 'u64', 'string', 'group'] as const) : (['u32', 'u64', 'string'] as const));
		switch (kind) {
			case 'u32':
				return {tag, kind, value: random.pick([0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, random.below(2 ** 31)])};
			case 'u64':
				return {tag, kind, value: random.pick([0n, 1n, 2n ** 63n, 2n ** 64n - 1n, BigInt(random.below(2 ** 31))])};
			case 'string':
				return {tag, kind, value: random.pick(['', 'x', 'ä€😀', 'a'.repeat(random.below(300))])};
			default:
				return {tag, kind, value: anyValues(random, depth + 1)};
		}
	});
}

function write(body: BodyWriter, values: readonly Value[]): BodyWriter {
	for (const one of values) {
		if (one.kind === 'u32') body.u32(one.tag, one.value);
		else if (one.kind === 'u64') body.u64(one.tag, one.value);
		else if (one.kind === 'string') body.string(one.tag, one.value);
		else body.group(one.tag, it => write(it, one.value));
	}
	return body;
}

/** What a reader finds of them. */
function read(body: BodyReader, values: readonly Value[]): readonly Value[] {
	return values.map((one): Value => {
		if (one.kind === 'u32') return {...one, value: body.u32(one.tag)};
		if (one.kind === 'u64') return {...one, value: body.u64(one.tag)};
		if (one.kind === 'string') return {...one, value: body.string(one.tag)};
		const [group, second] = body.groups(one.tag);
		if (group === undefined || second !== undefined) throw new Error(`tag ${one.tag}: not one group`);
		return {...one, value: read(group, one.value)};
	});
}

/** Asks for everything that is there in every way; only CorruptError may come of it. */
function readAll(bytes: Buffer): 'read' | 'refused' {
	let refused = false;
	const ask = (question: () => unknown): void => {
		try {
			question();
		} catch (error) {
			if (!(error instanceof CorruptError)) throw error;
			refused = true;
		}
	};
	ask(() => {
		const body = new BodyReader(bytes);
		for (const tag of TAGS) {
			if (!body.has(tag)) continue;
			for (const question of [() => body.u32(tag), () => body.u64(tag), () => body.string(tag), () => body.u32s(tag), () => body.bool(tag)]) ask(question);
			ask(() => body.groups(tag).length);
		}
	});
	return refused ? 'refused' : 'read';
}

test('what is written is read again, at any depth', t => {
	const random = new Random(SEED);
	let values = 0;
	for (let round = 0; round < ROUNDS / 10; round++) {
		const wanted = anyValues(random, 0);
		const bytes = write(new BodyWriter(), wanted).finish();
		const got = read(new BodyReader(bytes), wanted);
		values += got.length;
		if (JSON.stringify(got, replacer) !== JSON.stringify(wanted, replacer)) t.deepEqual(got, wanted, `round ${round} of seed ${SEED}`);
	}
	t.log(`${ROUNDS / 10} bodies, ${values} values of the outermost level, seed ${SEED}`);
	t.true(values > ROUNDS / 10);
});

test('whatever the bytes, they are read or refused as corrupt', t => {
	const random = new Random(SEED);
	const verdicts = {read: 0, refused: 0};
	for (let round = 0; round < ROUNDS; round++) {
		const whole = write(new BodyWriter(), anyValues(random, 0)).finish();
		const bytes = Buffer.from(
			random.below(4) === 0 ? random.bytes(random.below(64)) : whole.subarray(0, whole.length - (random.below(3) === 0 ? random.below(9) : 0)),
		);
		for (let flips = random.below(4); flips > 0 && bytes.length > 0; flips--) {
			const at = random.below(bytes.length);
			bytes[at] = bytes[at]! ^ (1 << random.below(8));
		}
		verdicts[readAll(bytes)]++;
	}
	t.log(`${ROUNDS} bodies, seed ${SEED}: ${verdicts.read} read in every way, ${verdicts.refused} refused in at least one`);
	t.true(verdicts.refused > ROUNDS / 4);
});

test('an unknown tag is passed over when it is optional, and refused by its number else', t => {
	const random = new Random(SEED);
	for (let round = 0; round < 1000; round++) {
		const tag = 1000 + random.below(60_000);
		const header = Buffer.alloc(8);
		const value = random.bytes(random.below(20));
		header.writeUInt16LE(tag, 0);
		header.writeUInt32LE(value.length, 4);
		const bytes = (flags: number): Buffer => {
			header.writeUInt16LE(flags, 2);
			return Buffer.concat([new BodyWriter().u32(TAG.PID, 7).finish(), header, value]);
		};
		t.is(new BodyReader(bytes(TLV_FLAG.OPTIONAL)).u32(TAG.PID), 7);
		t.throws(() => new BodyReader(bytes(0)), {instanceOf: CorruptError, message: new RegExp(`unknown tag ${tag} `)});
	}
});

test('headers: written and read again; any bytes are a header or corrupt', t => {
	const random = new Random(SEED);
	let taken = 0;
	for (let round = 0; round < ROUNDS; round++) {
		const header = {
			version: random.below(65_536),
			type: random.below(65_536),
			requestId: random.below(2 ** 31),
			status: random.below(200),
			flags: random.below(8),
			bodyBytes: random.below(65_536),
		};
		const bytes = encodeHeader(header);
		if (round % 10 === 0) t.deepEqual(decodeHeader(bytes), header);
		const at = random.below(HEADER_BYTES);
		bytes[at] = bytes[at]! ^ (1 << random.below(8));
		try {
			decodeHeader(bytes.subarray(0, random.below(4) === 0 ? random.below(HEADER_BYTES) : HEADER_BYTES));
			taken++;
		} catch (error) {
			if (!(error instanceof CorruptError)) throw error;
		}
	}
	t.log(`${ROUNDS} headers with a bit flipped, seed ${SEED}: ${taken} taken`);
	t.true(taken > 0 && taken < ROUNDS);
});

function replacer(_key: string, value: unknown): unknown {
	return typeof value === 'bigint' ? `${value}n` : value;
}
