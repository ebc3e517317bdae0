import {watch, type FSWatcher} from 'node:fs';
import {basename, dirname} from 'node:path';
import {systemClock, type Clock} from '../base/clock.js';
import type {Logger} from '../base/log.js';

/** Without inotify (its per-user limit is reached, say) the directory is looked at this often. */
const POLL_INTERVAL_MS = 5000;

/**
 * Tells that something may have changed in a directory, which need not exist: then its nearest ancestor is watched until it appears.
 * Spurious calls happen; a change is never missed, because the watch stands before `onChange` is called.
 */
export class DirWatch {
	readonly #dir: string;
	readonly #onChange: () => void;
	readonly #log: Logger;
	readonly #clock: Clock;
	readonly #closed = new AbortController();
	#watcher: FSWatcher | null = null;
	#polling = false;

	constructor(dir: string, onChange: () => void, {log, clock = systemClock}: {readonly log: Logger; readonly clock?: Clock}) {
		this.#dir = dir;
		this.#onChange = onChange;
		this.#log = log;
		this.#clock = clock;
		this.#arm();
	}

	close(): void {
		this.#closed.abort();
		this.#closeWatcher();
	}

	/** Anew after every event: the directory may have been replaced, and a watch follows the inode. */
	#arm(): void {
		const before = this.#watcher;
		this.#watcher = null;
		// What appeared between the look at it and the watch on its parent told nobody: then the watch belongs further down.
		for (let awaited = this.#watchNearest(); awaited !== null && isWatchable(awaited); awaited = this.#watchNearest()) this.#closeWatcher();
		before?.close();
	}

	/** @returns the missing path that leads to the directory and is awaited; null when it is the directory itself that is watched, or polled. */
	#watchNearest(): string | null {
		for (let path = this.#dir, awaited: string | null = null; !this.#polling; awaited = path, path = dirname(path)) {
			try {
				const name = awaited === null ? '' : basename(awaited);
				this.#watcher = watch(path, {persistent: false}, (_event, fileName) => this.#changed(name, fileName));
				this.#watcher.on('error', () => this.#changed('', null));
				return awaited;
			} catch (err) {
				if ((err as NodeJS.ErrnoException).code === 'ENOENT' && path !== dirname(path)) continue;
				this.#log.warn({err, path}, `cannot watch the directory; it is read every ${POLL_INTERVAL_MS} ms`);
				void this.#poll();
			}
		}
		return null;
	}

	#closeWatcher(): void {
		this.#watcher?.close();
		this.#watcher = null;
	}

	#changed(awaited: string, fileName: string | null): void {
		if (this.#closed.signal.aborted) return;
		if (awaited !== '' && fileName !== null && fileName !== awaited && fileName !== '') return;
		this.#arm();
		this.#onChange();
	}

	async #poll(): Promise<void> {
		this.#polling = true;
		while (!this.#closed.signal.aborted) {
			await this.#clock.sleep(POLL_INTERVAL_MS, this.#closed.signal);
			if (!this.#closed.signal.aborted) this.#onChange();
		}
	}
}

function isWatchable(path: string): boolean {
	try {
		watch(path, {persistent: false}).close();
		return true;
	} catch {
		return false;
	}
}
