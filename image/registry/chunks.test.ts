import test from 'ava';
import {CancelledError} from '../../base/errors.js';
import type {OpenedBlob, Range} from './blob.js';
import {type BlobParts, CHUNK_BYTES, readBlob} from './chunks.js';
import {Slots} from './slots.js';

const SIZE = 8 * CHUNK_BYTES;
const never = new AbortController().signal;

/** A clock that moves only when a part is opened or a piece comes. */
class FakeBlob implements BlobParts {
	nowMs = 0;
	readonly asked: Range[] = [];
	readonly #openMs: number;
	readonly #pieceMs: number;

	constructor(openMs: number, pieceMs: number) {
		this.#openMs = openMs;
		this.#pieceMs = pieceMs;
	}

	async open(range: Range): Promise<OpenedBlob> {
		this.asked.push(range);
		this.nowMs += this.#openMs;
		return {isPart: true, start: range.start} as OpenedBlob;
	}

	/** One byte for each MiB: its number. */
	async *read(range: Range, signal: AbortSignal, opened: OpenedBlob | null = null): AsyncGenerator<Uint8Array> {
		if (opened === null) await this.open(range);
		for (let at = range.start; at < range.end; at += 1 << 20) {
			if (signal.aborted) throw new CancelledError('cancelled');
			this.nowMs += this.#pieceMs;
			yield Uint8Array.of(at >> 20);
			await new Promise(resolve => setImmediate(resolve));
		}
	}
}

async function readAll(blob: FakeBlob, places: number): Promise<readonly number[]> {
	const readAhead = new Slots(places);
	const found: number[] = [];
	for await (const piece of readBlob(blob, {size: SIZE, readAhead, clock: {monotonicMs: () => blob.nowMs}}, never)) {
		found.push(...piece);
		await new Promise(resolve => setImmediate(resolve));
	}
	if (readAhead.free !== places) throw new Error(`${readAhead.free} of ${places} places are free`);
	return found;
}

const IN_ORDER = Array.from({length: SIZE >> 20}, (_, index) => index);

test('cheap requests: each chunk by its own', async t => {
	const blob = new FakeBlob(20, 0);
	t.deepEqual(await readAll(blob, 6), IN_ORDER);
	t.is(blob.asked.length, 8);
	const slow = new FakeBlob(1000, 1000);
	t.deepEqual(await readAll(slow, 6), IN_ORDER);
	t.is(slow.asked.length, 8);
});

test('a server that takes long for each request is asked for the rest in one', async t => {
	const blob = new FakeBlob(1000, 1);
	t.deepEqual(await readAll(blob, 6), IN_ORDER);
	t.deepEqual(
		blob.asked.map(({start, end}) => [start / CHUNK_BYTES, end / CHUNK_BYTES]),
		[
			[0, 1],
			[1, 2],
			[2, 3],
			[3, 8],
		],
	);
});

test('without places for what is read ahead, one chunk comes after the other', async t => {
	const blob = new FakeBlob(1, 1);
	t.deepEqual(await readAll(blob, 0), IN_ORDER);
	t.is(blob.asked.length, 8);
	t.deepEqual(await readAll(new FakeBlob(1, 1), 1), IN_ORDER);
});

test('places come back when the reader leaves, wherever it is', async t => {
	for (let pieces = 1; pieces < 32; pieces++) {
		const readAhead = new Slots(6);
		const blob = new FakeBlob(1, 1);
		let left = pieces;
		for await (const _ of readBlob(blob, {size: SIZE, readAhead, clock: {monotonicMs: () => blob.nowMs}}, never)) if (--left === 0) break;
		t.is(readAhead.free, 6, `after ${pieces} pieces`);
	}
});
