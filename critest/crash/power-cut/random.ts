/** Chance that can be repeated: the same seeds give the same answers. */
export interface Random {
	/** 0 ≤ answer < below. */
	integer(below: number): number;
	chance(probability: number): boolean;
	/** @throws {RangeError} nothing to pick from. */
	pick<T>(items: readonly T[]): T;
	bytes(length: number): Buffer;
}

/** The 32-bit generator "mulberry32" over a mix of the seeds; not for secrets. */
export function seededRandom(...seeds: readonly number[]): Random {
	let state = seeds.reduce((mixed, seed) => Math.imul(mixed ^ seed, 0x9e3779b1) ^ (mixed >>> 15), 0x2545f491);
	const next = (): number => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return (mixed ^ (mixed >>> 14)) >>> 0;
	};
	const integer = (below: number): number => Math.floor((next() / 0x1_0000_0000) * below);
	return {
		integer,
		chance: probability => next() / 0x1_0000_0000 < probability,
		pick: <T>(items: readonly T[]): T => {
			if (items.length === 0) throw new RangeError('nothing to pick from');
			return items[integer(items.length)] as T;
		},
		bytes: length => {
			const words = Uint32Array.from({length: Math.ceil(length / 4)}, next);
			return Buffer.from(words.buffer, 0, length);
		},
	};
}
