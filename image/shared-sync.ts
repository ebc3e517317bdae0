/**
 * One sync for many: a caller gets the first sync that begins after its call, and all who come meanwhile share the next one. syncfs(2) writes what everybody wrote,
 * so two at once would only do the same work twice.
 */
export class SharedSync {
	readonly #sync: () => Promise<void>;
	#running: Promise<void> | null = null;
	#next: Promise<void> | null = null;

	constructor(sync: () => Promise<void>) {
		this.#sync = sync;
	}

	async run(): Promise<void> {
		this.#next ??= this.#start(this.#running);
		await this.#next;
	}

	async #start(before: Promise<void> | null): Promise<void> {
		// Its own caller sees the failure of the one before.
		await before?.catch(() => {});
		const running = this.#sync();
		this.#running = running;
		this.#next = null;
		try {
			await running;
		} finally {
			if (this.#running === running) this.#running = null;
		}
	}
}
