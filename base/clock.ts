/** Time, so that tests own it. The only place that calls setTimeout or reads the wall clock. */
export interface Clock {
	/** Wall clock, nanoseconds since the epoch. */
	nowNs(): bigint;
	/** Monotonic, milliseconds. */
	monotonicMs(): number;
	/** Resolves after `ms` milliseconds, or at once when `signal` aborts. Does not keep the process alive. */
	sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

// Date.now() has only milliseconds; within one the monotonic clock orders what happens, and a later value is never smaller.
let lastNs = 0n;
export const systemClock: Clock = {
	nowNs: () => {
		const ns = BigInt(Date.now()) * 1_000_000n;
		lastNs = ns > lastNs ? ns : lastNs + 1n;
		return lastNs;
	},
	monotonicMs: () => performance.now(),
	sleep: (ms, signal) =>
		new Promise(resolve => {
			if (signal?.aborted === true) return resolve();
			const timer = setTimeout(done, ms);
			function done(): void {
				clearTimeout(timer);
				signal?.removeEventListener('abort', done);
				resolve();
			}
			signal?.addEventListener('abort', done, {once: true});
		}),
};
