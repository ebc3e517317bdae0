import {mkdtemp, open, readdir, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {CutDisk} from './cut-disk.js';
import {mountImage, openPowerDisk} from './power-disk.js';
import {seededRandom} from './random.js';
import {WriteLog} from './write-log.js';

const CONTENT = seededRandom(1).bytes(200_000);

async function writeFile(path: string, sync: boolean): Promise<void> {
	await using file = await open(path, 'wx');
	await file.writeFile(CONTENT);
	if (sync) await file.sync();
}

test('of a real file system on the disk, what was synced is there after a cut that loses everything else, and what was not is not', async t => {
	const dir = await mkdtemp(join(tmpdir(), 'berth-power-disk-'));
	try {
		const files = {base: join(dir, 'base.img'), log: join(dir, 'log')};
		let positionBytes = 0;
		{
			await using disk = await openPowerDisk(dir, files);
			await writeFile(join(disk.mountPoint, 'synced'), true);
			await writeFile(join(disk.mountPoint, 'not-synced'), false);
			positionBytes = disk.position();
		}
		await using log = await WriteLog.open(files.log);
		await using cuts = new CutDisk(log, {base: files.base, flushed: join(dir, 'flushed.img')});
		const left = async (ignoredFlushes: number): Promise<readonly string[]> => {
			await cuts.build({records: log.countAt(positionBytes), ignoredFlushes, keepChance: 0}, seededRandom(1), join(dir, 'cut.img'));
			await using mounted = await mountImage(join(dir, 'cut.img'), join(dir, 'cut'));
			const names = (await readdir(mounted.mountPoint)).filter(name => name !== 'lost+found');
			if (names.includes('synced')) t.deepEqual(await readFile(join(mounted.mountPoint, 'synced')), CONTENT);
			return names;
		};
		t.deepEqual(await left(0), ['synced']);
		t.deepEqual(await left(log.records.length), [], 'had every flush been ignored');
	} finally {
		await rm(dir, {recursive: true, force: true});
	}
});
