import {CancelledError} from '../base/errors.js';

/** Lets at most `limit` pieces of work run at once, first come first served: parallel plugin chains only slow each other down beyond the number of cores. */
export class Admission {
	readonly #limit: number;
	readonly #waiting = new Set<() => void>();
	#running = 0;

	constructor(limit: number) {
		this.#limit = limit;
	}

	/** @throws {CancelledError} `signal` aborted before there was room; `work` did not run. */
	async run<T>(signal: AbortSignal | null, work: () => Promise<T>): Promise<T> {
		await this.#enter(signal);
		try {
			return await work();
		} finally {
			this.#leave();
		}
	}

	async #enter(signal: AbortSignal | null): Promise<void> {
		if (signal?.aborted === true) throw cancelled();
		if (this.#running < this.#limit) {
			this.#running++;
			return;
		}
		await new Promise<void>((resolve, reject) => {
			const admitted = (): void => {
				signal?.removeEventListener('abort', gaveUp);
				resolve();
			};
			const gaveUp = (): void => {
				this.#waiting.delete(admitted);
				reject(cancelled());
			};
			this.#waiting.add(admitted);
			signal?.addEventListener('abort', gaveUp, {once: true});
		});
	}

	/** Hands the place to the next in line, so that #running never dips and nobody jumps the queue. */
	#leave(): void {
		const [next] = this.#waiting;
		if (next === undefined) {
			this.#running--;
			return;
		}
		this.#waiting.delete(next);
		next();
	}
}

function cancelled(): CancelledError {
	return new CancelledError('pod network set-up cancelled by the client before it began');
}
