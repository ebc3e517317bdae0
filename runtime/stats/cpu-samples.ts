/** A rate is over the last so many ms, or a little more: long enough for the kernel's ticks, short enough for an autoscaler. */
const WINDOW_MS = 10_000;
/** Closer samples are not kept, so that somebody who asks all the time costs no memory and shortens no window. */
const MIN_SPACING_MS = 1000;
/** Closer samples say nothing about a rate: the kernel accounts in ticks. */
const MIN_INTERVAL_MS = 100;
/** A sample so old gives a rate that is no longer of now. */
const MAX_WINDOW_MS = 120_000;

interface Sample {
	readonly usageCoreNs: bigint;
	readonly atMs: number;
}

/** The last samples of each cgroup's CPU time, so that the next one gives a rate: the same whoever else asks, and how often. */
export class CpuSamples {
	/** Least recently asked for first; the samples of each oldest first. */
	readonly #samples = new Map<string, Sample[]>();

	/**
	 * Takes a sample.
	 *
	 * @param id of the container or pod sandbox.
	 * @param usageCoreNs CPU time used since the start, over all cores.
	 * @param atMs when it was read, monotonic.
	 * @returns CPU time per second of wall time over the window, ns; null while there is no earlier sample that is near enough.
	 */
	take(id: string, usageCoreNs: bigint, atMs: number): bigint | null {
		const samples = this.#keepUseful(this.#samples.get(id) ?? [], usageCoreNs, atMs);
		const base = samples[0];
		const newest = samples.at(-1);
		if (newest === undefined || atMs - newest.atMs >= MIN_SPACING_MS) samples.push({usageCoreNs, atMs});
		this.#samples.delete(id);
		this.#samples.set(id, samples);
		this.#dropStale(atMs);
		if (base === undefined || atMs - base.atMs < MIN_INTERVAL_MS) return null;
		return ((usageCoreNs - base.usageCoreNs) * 1_000_000_000n) / BigInt(Math.round((atMs - base.atMs) * 1e6));
	}

	get size(): number {
		return this.#samples.size;
	}

	/** The first is the youngest that is as old as the window, or the oldest there is. Of a cgroup made anew, which counts from zero, no sample is useful. */
	#keepUseful(samples: Sample[], usageCoreNs: bigint, atMs: number): Sample[] {
		const newest = samples.at(-1);
		if (newest !== undefined && usageCoreNs < newest.usageCoreNs) return [];
		const first = samples.findLastIndex(sample => atMs - sample.atMs >= WINDOW_MS);
		return samples.slice(Math.max(first, 0)).filter(sample => atMs - sample.atMs <= MAX_WINDOW_MS);
	}

	/** What nobody asked about for so long is gone, or will start anew. */
	#dropStale(nowMs: number): void {
		for (const [id, samples] of this.#samples) {
			const newest = samples.at(-1);
			if (newest !== undefined && nowMs - newest.atMs <= MAX_WINDOW_MS) return;
			this.#samples.delete(id);
		}
	}
}
