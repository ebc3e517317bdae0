import {open, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {systemClock} from '../../../base/clock.js';
import type {Random} from './random.js';

const MAX_PAUSE_MS = 10;

/**
 * Another program on the same file system, that syncs a file of its own again and again, as databases on a node do. Each time ext4 commits what it knows of all files,
 * also of those whose data nobody has synced yet: after a cut these are there, and empty. Now and then the data of one of the store's own small files goes with it, as the
 * kernel may write any file at any time, before others that are older. Ends when disposed of.
 */
export async function startNeighbour({mountPoint, rootDir}: {readonly mountPoint: string; readonly rootDir: string}, random: Random): Promise<AsyncDisposable> {
	const file = await open(join(mountPoint, 'neighbour'), 'w');
	const ending = new AbortController();
	const work = async (): Promise<void> => {
		try {
			while (!ending.signal.aborted) {
				// Longer each time: only then is there something to commit.
				await file.write(random.bytes(100));
				await file.sync();
				if (random.chance(0.7)) await syncNewest(join(rootDir, 'layers'));
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

/** Of the newest layer, most likely one that is not synced yet, the record of it. Layers come and go meanwhile. */
async function syncNewest(layersDir: string): Promise<void> {
	try {
		const newest = Math.max(0, ...(await readdir(layersDir)).map(Number).filter(Number.isInteger));
		const file = await open(join(layersDir, String(newest), 'layer.json'), 'r');
		await file.sync().finally(() => file.close());
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
	}
}
