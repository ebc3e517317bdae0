/** Closer samples say nothing about a rate: the kernel accounts in ticks. */
const MIN_INTERVAL_NS = 100_000_000n;
/** Nobody asks about a container for so long: it is gone. */
const STALE_NS = 600_000_000_000n;

interface Sample {
	readonly usageCoreNs: bigint;
	readonly atNs: bigint;
	readonly nanoCores: bigint | null;
}

/** The last sample of each container's CPU time, so that the next one gives a rate. */
export class CpuSamples {
	/** Oldest first: each new sample goes to the end. */
	readonly #samples = new Map<string, Sample>();

	/**
	 * Takes a sample.
	 *
	 * @param usageCoreNs CPU time used since the start, over all cores.
	 * @param atNs when it was read.
	 * @returns CPU time per second of wall time since the sample before, ns; null for the first.
	 */
	take(containerId: string, usageCoreNs: bigint, atNs: bigint): bigint | null {
		const before = this.#samples.get(containerId);
		if (before !== undefined && atNs - before.atNs < MIN_INTERVAL_NS) return before.nanoCores;
		const nanoCores =
			before === undefined || usageCoreNs < before.usageCoreNs ? null : ((usageCoreNs - before.usageCoreNs) * 1_000_000_000n) / (atNs - before.atNs);
		this.#samples.delete(containerId);
		this.#samples.set(containerId, {usageCoreNs, atNs, nanoCores});
		this.#dropStale(atNs);
		return nanoCores;
	}

	get size(): number {
		return this.#samples.size;
	}

	#dropStale(nowNs: bigint): void {
		for (const [id, {atNs}] of this.#samples) {
			if (nowNs - atNs < STALE_NS) return;
			this.#samples.delete(id);
		}
	}
}
