import type {Clock} from '../../base/clock.js';
import {StallError} from './failure.js';

export interface Pace {
	/** No byte for so long is a stall. */
	readonly stallTimeoutMs: number;
	/** Fewer than so many a second, over stallTimeoutMs, are one too; 0 = no floor. */
	readonly minBytesPerSecond: number;
}

const CHECKS_PER_TIMEOUT = 10;

/**
 * Passes a body on and ends it when it stalls. Only the time counts that is spent waiting for the sender: a consumer may take as long as
 * it likes between two pieces. A stall is noticed between one and two time-outs after it began.
 *
 * @param abort Ends the exchange; called with a StallError.
 * @throws {StallError} in place of whatever the ended body throws.
 */
export async function* watch(body: AsyncIterable<Uint8Array>, pace: Pace, clock: Clock, abort: (error: StallError) => void): AsyncGenerator<Uint8Array> {
	const meter = new PaceMeter(pace, clock);
	const ended = new AbortController();
	let stall: StallError | null = null;
	void watchPace(meter, pace, clock, ended.signal).then(error => {
		stall = error;
		if (error !== null) abort(error);
	});
	try {
		meter.wait();
		for await (const piece of body) {
			meter.took(piece.length);
			yield piece;
			meter.wait();
		}
	} catch (error) {
		throw stall ?? error;
	} finally {
		ended.abort();
	}
}

/** Resolves with a stall as soon as there is one, with null after `ended`. */
export async function watchPace(meter: PaceMeter, {stallTimeoutMs}: Pace, clock: Clock, ended: AbortSignal): Promise<StallError | null> {
	while (!ended.aborted) {
		await clock.sleep(Math.max(1, stallTimeoutMs / CHECKS_PER_TIMEOUT), ended);
		const stall = ended.aborted ? null : meter.check();
		if (stall !== null) return stall;
	}
	return null;
}

/** Counts bytes against the time spent waiting for them. */
export class PaceMeter {
	readonly #pace: Pace;
	readonly #clock: Clock;
	/** null while nothing is waited for. */
	#waitingSinceMs: number | null = null;
	/** Of the window that the floor is judged over. */
	#waitedMs = 0;
	#bytes = 0;

	constructor(pace: Pace, clock: Clock) {
		this.#pace = pace;
		this.#clock = clock;
	}

	wait(): void {
		this.#waitingSinceMs = this.#clock.monotonicMs();
	}

	took(bytes: number): void {
		if (this.#waitingSinceMs !== null) this.#waitedMs += this.#clock.monotonicMs() - this.#waitingSinceMs;
		this.#waitingSinceMs = null;
		this.#bytes += bytes;
	}

	check(): StallError | null {
		const {stallTimeoutMs, minBytesPerSecond} = this.#pace;
		const silentMs = this.#waitingSinceMs === null ? 0 : this.#clock.monotonicMs() - this.#waitingSinceMs;
		if (silentMs >= stallTimeoutMs) return new StallError(`stalls: no byte for ${stallTimeoutMs} ms`);
		if (this.#waitedMs + silentMs < stallTimeoutMs) return null;
		if (this.#bytes < (minBytesPerSecond * stallTimeoutMs) / 1000)
			return new StallError(`stalls: ${this.#bytes} bytes in ${stallTimeoutMs} ms, fewer than ${minBytesPerSecond} a second`);
		this.#waitedMs = -silentMs;
		this.#bytes = 0;
		return null;
	}
}
