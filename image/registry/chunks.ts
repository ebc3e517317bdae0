import type {Clock} from '../../base/clock.js';
import {CorruptError} from '../../base/errors.js';
import type {BlobFetch, OpenedBlob, Range} from './blob.js';
import type {Slots} from './slots.js';

export const CHUNK_BYTES = 2 << 20;
/** Besides the chunk that is being consumed. */
const MAX_AHEAD = 2;
/** Three connections that each wait this much longer for an answer than for the chunk are no faster than one that streams. */
const COSTLY_RATIO = 2;
/** A wait below this is never worth a thought. */
const CHEAP_OPEN_MS = 50;

/** Where the parts come from. */
export type BlobParts = Pick<BlobFetch, 'open' | 'read'>;

export interface BlobShape {
	/** In bytes. */
	readonly size: number;
	/** Places for chunks in memory. */
	readonly readAhead: Slots;
	readonly clock: Pick<Clock, 'monotonicMs'>;
}

/**
 * A blob's bytes in order. A large one comes in chunks of 2 MiB by Range, up to three at once: the first straight through, the others
 * into memory, as far as `readAhead` has places. A server that does not do ranges, or takes long for each request (a registry that hashes
 * a password each time), is read as one stream.
 *
 * @throws as BlobFetch.read
 */
export async function* readBlob(fetch: BlobParts, shape: BlobShape, signal: AbortSignal): AsyncGenerator<Uint8Array> {
	const {size} = shape;
	const first = size < 2 * CHUNK_BYTES ? null : await openFirst(fetch, signal);
	if (first?.isPart === true) yield* new ChunkedBlob(fetch, shape, signal).read(first);
	else yield* fetch.read({start: 0, end: size}, signal, first);
}

/** null: the server answers something else than that part, for which the whole blob may still be right. */
async function openFirst(fetch: BlobParts, signal: AbortSignal): Promise<OpenedBlob | null> {
	try {
		return await fetch.open({start: 0, end: CHUNK_BYTES}, signal);
	} catch (error) {
		if (error instanceof CorruptError) return null;
		throw error;
	}
}

/** Hands out the chunks of a blob, in order, and reads ahead. */
class ChunkedBlob {
	readonly #fetch: BlobParts;
	readonly #size: number;
	readonly #readAhead: Slots;
	readonly #ended = new AbortController();
	readonly #signal: AbortSignal;
	readonly #clock: BlobShape['clock'];
	readonly #ahead: ChunkAhead[] = [];
	/** Where the next chunk to be asked for begins. */
	#next = CHUNK_BYTES;
	/** Whether requests cost too much, so that what is left comes in one; null until the first chunk read ahead has shown it. */
	#isCostly: boolean | null = null;
	/** Chunks that were ever read ahead. */
	#begun = 0;

	constructor(fetch: BlobParts, {size, readAhead, clock}: BlobShape, signal: AbortSignal) {
		this.#fetch = fetch;
		this.#size = size;
		this.#readAhead = readAhead;
		this.#clock = clock;
		this.#signal = AbortSignal.any([signal, this.#ended.signal]);
	}

	async *read(first: OpenedBlob): AsyncGenerator<Uint8Array> {
		try {
			yield* this.#whileAhead(this.#fetch.read({start: 0, end: CHUNK_BYTES}, this.#signal, first));
			for (;;) {
				const chunk = this.#ahead.shift();
				if (chunk === undefined && !this.#hasMore()) return;
				if (chunk === undefined) yield* this.#whileAhead(this.#fetch.read(this.#take(), this.#signal));
				else yield* this.#consume(chunk);
			}
		} finally {
			this.#ended.abort();
			for (const _ of this.#ahead) this.#readAhead.giveBack();
		}
	}

	async *#consume(chunk: ChunkAhead): AsyncGenerator<Uint8Array> {
		try {
			yield* this.#whileAhead(chunk.read());
		} finally {
			this.#readAhead.giveBack();
		}
	}

	/** Starts what is read ahead once a piece is there: a server that fails is not asked three times. */
	async *#whileAhead(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
		for await (const piece of pieces) {
			while (this.#mayReadAhead() && this.#readAhead.tryTake()) this.#ahead.push(new ChunkAhead(this.#fetch, this.#toChunkParts(), this.#signal));
			yield piece;
		}
	}

	#toChunkParts(): ChunkParts {
		this.#begun++;
		const range = this.#take();
		return {range, clock: this.#clock, whole: isCostly => (this.#isCostly ??= isCostly)};
	}

	/** The first two go unseen; the others wait until one of those is there. */
	#mayReadAhead(): boolean {
		const isFirst = this.#isCostly === null && this.#begun < MAX_AHEAD;
		return (isFirst || this.#isCostly === false) && this.#ahead.length < MAX_AHEAD && this.#hasMore();
	}

	#hasMore(): boolean {
		return this.#next < this.#size;
	}

	#take(): Range {
		const range = {start: this.#next, end: this.#isCostly === true ? this.#size : Math.min(this.#next + CHUNK_BYTES, this.#size)};
		this.#next = range.end;
		return range;
	}
}

interface ChunkParts {
	readonly range: Range;
	readonly clock: BlobShape['clock'];
	/** Called when all is there. */
	readonly whole: (isCostly: boolean) => void;
}

/** A chunk on its way into memory; what is there can be read before the rest has come. */
class ChunkAhead {
	readonly #pieces: Uint8Array[] = [];
	#outcome: {readonly error: unknown} | 'whole' | null = null;
	#wake: () => void = () => {};

	constructor(fetch: BlobParts, parts: ChunkParts, signal: AbortSignal) {
		void this.#fill(fetch, parts, signal);
	}

	async *read(): AsyncGenerator<Uint8Array> {
		for (;;) {
			const piece = this.#pieces.shift();
			if (piece !== undefined) yield piece;
			else if (this.#outcome === 'whole') return;
			else if (this.#outcome !== null) throw this.#outcome.error;
			else await new Promise<void>(resolve => (this.#wake = resolve));
		}
	}

	async #fill(fetch: BlobParts, {range, clock, whole}: ChunkParts, signal: AbortSignal): Promise<void> {
		const startMs = clock.monotonicMs();
		try {
			const opened = await fetch.open(range, signal);
			const openedMs = clock.monotonicMs();
			for await (const piece of fetch.read(range, signal, opened)) {
				this.#pieces.push(piece);
				this.#wake();
			}
			this.#outcome = 'whole';
			// Nobody was waited for but the server.
			const openMs = openedMs - startMs;
			whole(openMs > CHEAP_OPEN_MS && openMs > COSTLY_RATIO * (clock.monotonicMs() - openedMs));
		} catch (error) {
			this.#outcome = {error};
		}
		this.#wake();
	}
}
