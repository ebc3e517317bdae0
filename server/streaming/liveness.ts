import {systemClock} from '../../base/clock.js';

export interface LivenessLimits {
	/** A ping goes out this often: a peer that is gone answers it with a reset, even while nobody reads. */
	readonly pingIntervalMs: number;
	/** No data either way for so long ends the connection. */
	readonly idleTimeoutMs: number;
}

/** Watches over a client's connection: pings it, and gives it up when no data came or went for too long. */
export class Liveness {
	readonly #limits: LivenessLimits;
	#lastDataMs = systemClock.monotonicMs();

	constructor(limits: LivenessLimits) {
		this.#limits = limits;
	}

	/** Data came or went. */
	touch(): void {
		this.#lastDataMs = systemClock.monotonicMs();
	}

	/** Until `closed` aborts. */
	async watch(closed: AbortSignal, connection: {ping(): void; destroy(): void}): Promise<void> {
		for (;;) {
			await systemClock.sleep(this.#limits.pingIntervalMs, closed);
			if (closed.aborted) return;
			if (systemClock.monotonicMs() - this.#lastDataMs > this.#limits.idleTimeoutMs) return connection.destroy();
			connection.ping();
		}
	}
}
