import {backoff} from '../base/backoff.js';
import type {Clock} from '../base/clock.js';
import type {Logger} from '../base/log.js';
import type {ImageRecord} from './image.js';

const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 10 * 60_000;
const MAX_ATTEMPTS = 30;

export interface RepairParts {
	/** Fetches what the image lacks. */
	readonly repair: (record: ImageRecord, signal: AbortSignal) => Promise<void>;
	/** False once a pull or a removal made the repair needless. */
	readonly isNeeded: (record: ImageRecord) => boolean;
	readonly clock: Clock;
	readonly log: Logger;
}

/** Repairs incomplete images in the background, one after the other; the registry may not be there yet when a node starts. */
export class Repairs {
	readonly #parts: RepairParts;
	readonly #closing = new AbortController();
	#work: Promise<void> = Promise.resolve();

	constructor(parts: RepairParts) {
		this.#parts = parts;
	}

	start(records: readonly ImageRecord[]): void {
		this.#work = this.#runAll(records);
	}

	async close(): Promise<void> {
		this.#closing.abort();
		await this.#work;
	}

	async #runAll(records: readonly ImageRecord[]): Promise<void> {
		const {isNeeded, clock} = this.#parts;
		const {signal} = this.#closing;
		const delays = backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
		let left = records;
		for (let attempt = 1; left.length > 0 && attempt <= MAX_ATTEMPTS; attempt++) {
			if (attempt > 1) await clock.sleep(delays.next().value, signal);
			const failed: ImageRecord[] = [];
			for (const record of left) {
				if (signal.aborted) return;
				if (isNeeded(record) && !(await this.#tryRepair(record, attempt))) failed.push(record);
			}
			left = failed;
		}
	}

	async #tryRepair(record: ImageRecord, attempt: number): Promise<boolean> {
		const {repair, isNeeded, log} = this.#parts;
		const image = {image: record.id, names: [...record.repoTags, ...record.repoDigests]};
		try {
			await repair(record, this.#closing.signal);
			log.info(image, 'incomplete image repaired');
			return true;
		} catch (error) {
			// Removed, or completed by a pull, while it was under way.
			if (!isNeeded(record)) return true;
			if (!this.#closing.signal.aborted) log.warn({...image, attempt, err: error}, 'incomplete image not repaired yet');
			return false;
		}
	}
}
