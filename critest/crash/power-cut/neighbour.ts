import {open} from 'node:fs/promises';
import {join} from 'node:path';
import {systemClock} from '../../../base/clock.js';
import type {Random} from './random.js';

const MAX_PAUSE_MS = 20;

/**
 * Another program on the same file system, that syncs a file of its own again and again, as databases on a node do. Each time ext4 commits what it knows of all files,
 * also of those whose data nobody has synced yet: after a cut these are there, and empty. Ends when disposed of.
 */
export async function startNeighbour(mountPoint: string, random: Random): Promise<AsyncDisposable> {
	const file = await open(join(mountPoint, 'neighbour'), 'w');
	const ending = new AbortController();
	const work = async (): Promise<void> => {
		try {
			while (!ending.signal.aborted) {
				// Longer each time: only then is there something to commit.
				await file.write(random.bytes(100));
				await file.sync();
				await systemClock.sleep(random.integer(MAX_PAUSE_MS), ending.signal);
			}
		} finally {
			await file.close();
		}
	};
	const working = work();
	// Heard of at the end; until then nobody waits for it.
	working.catch(() => undefined);
	return {
		[Symbol.asyncDispose]: async () => {
			ending.abort();
			await working;
		},
	};
}
