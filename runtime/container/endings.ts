/** Containers that are being stopped or killed now, so that nobody freezes what is waited for. In memory: it is of calls in flight. */
export class Endings {
	readonly #counts = new Map<string, number>();

	has(containerId: string): boolean {
		return this.#counts.has(containerId);
	}

	/** For as long as `work` lasts; several may. */
	async during<T>(containerId: string, work: () => Promise<T>): Promise<T> {
		this.#counts.set(containerId, (this.#counts.get(containerId) ?? 0) + 1);
		try {
			return await work();
		} finally {
			const left = (this.#counts.get(containerId) ?? 1) - 1;
			if (left === 0) this.#counts.delete(containerId);
			else this.#counts.set(containerId, left);
		}
	}
}
