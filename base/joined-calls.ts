/**
 * Calls in flight by key: a second call of the same key gets the first one's result instead of running again.
 * One caller's cancellation ends the work only when no other caller waits for it.
 */
export class JoinedCalls<T> {
	readonly #inFlight = new Map<string, {readonly result: Promise<T>; readonly abort: AbortController; waiting: number}>();

	/**
	 * @param signal The caller's; when it aborts, this call rejects with its reason, and `work`'s own signal aborts once nobody waits.
	 */
	async run(key: string, signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
		let call = this.#inFlight.get(key);
		if (call === undefined || call.abort.signal.aborted) {
			const before = call?.result;
			const abort = new AbortController();
			// A cancelled predecessor may still be undoing: the new one starts after it.
			const result = (before ?? Promise.resolve()).then(noop, noop).then(() => work(abort.signal));
			call = {result, abort, waiting: 0};
			this.#inFlight.set(key, call);
			const mine = call;
			const forget = (): void => void (this.#inFlight.get(key) === mine && this.#inFlight.delete(key));
			result.then(forget, forget);
		}
		const joined = call;
		joined.waiting++;
		return await new Promise<T>((resolve, reject) => {
			const leave = (): void => {
				signal?.removeEventListener('abort', leave);
				if (--joined.waiting === 0) joined.abort.abort(signal?.reason);
				reject(signal?.reason instanceof Error ? signal.reason : new Error('cancelled'));
			};
			if (signal?.aborted === true) return leave();
			signal?.addEventListener('abort', leave, {once: true});
			const settle = (): void => signal?.removeEventListener('abort', leave);
			joined.result.then(
				value => (settle(), resolve(value)),
				(error: unknown) => (settle(), reject(error as Error)),
			);
		});
	}
}

function noop(): void {}
