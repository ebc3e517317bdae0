import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {openRegistry} from '../../fixtures/registry.js';
import {startDaemon} from '../../rig/daemon.js';
import {buildCutImages} from './images.js';
import {startNeighbour} from './neighbour.js';
import {NO_SYNC_LIBRARY, openPowerDisk} from './power-disk.js';
import type {Mark} from './promises.js';
import {seededRandom} from './random.js';
import {runWorkload} from './workload.js';

/** One life of a daemon on a disk that writes everything down. Lies in a directory of its own: base.img, log, run.json. */
export interface RecordedRun {
	readonly seed: number;
	/** The log's size when the daemon was about to start, and after its last reply. */
	readonly startBytes: number;
	readonly endBytes: number;
	readonly marks: readonly Mark[];
}
export interface RecordChoices {
	readonly seed: number;
	readonly operations: number;
	/** False: the daemon's syncs do nothing, which the checks must find. */
	readonly syncs: boolean;
}

export function toRunFiles(dir: string): {readonly base: string; readonly log: string; readonly run: string} {
	return {base: join(dir, 'base.img'), log: join(dir, 'log'), run: join(dir, 'run.json')};
}

/** The operations follow from the seed; their order in time, and with it the log, does not. */
export async function recordRun(dir: string, {seed, operations, syncs}: RecordChoices): Promise<RecordedRun> {
	const images = buildCutImages(seededRandom(seed));
	const registry = await openRegistry(images.content);
	try {
		const files = toRunFiles(dir);
		await using disk = await openPowerDisk(dir, files);
		const startBytes = disk.position();
		const env = syncs ? {} : {LD_PRELOAD: NO_SYNC_LIBRARY};
		const rootDir = join(disk.mountPoint, 'root');
		await using daemon = await startDaemon(registry, {rootDir, logLevel: 'warn', env});
		const neighbour = await startNeighbour({mountPoint: disk.mountPoint, rootDir}, seededRandom(seed, 4));
		const restart = async (meanwhile: () => Promise<void>): Promise<void> => {
			await daemon.kill();
			await meanwhile();
			await daemon.start();
		};
		const marks = await runWorkload({...images, cri: daemon.cri, position: disk.position, random: seededRandom(seed, 1), operations, restart, rootDir}).finally(
			() => neighbour[Symbol.asyncDispose](),
		);
		const recorded: RecordedRun = {seed, startBytes, endBytes: disk.position(), marks};
		await writeFile(files.run, JSON.stringify(recorded));
		return recorded;
	} finally {
		await registry.close();
	}
}

export async function readRecordedRun(dir: string): Promise<RecordedRun> {
	return JSON.parse(await readFile(toRunFiles(dir).run, 'utf8')) as RecordedRun;
}
