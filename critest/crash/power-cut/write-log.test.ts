import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {CutDisk, SECTOR_BYTES} from './cut-disk.js';
import {seededRandom, type Random} from './random.js';
import {WriteLog} from './write-log.js';

function writeRecord(sector: number, fill: string, sectors = 1): Buffer {
	const data = Buffer.alloc(sectors * SECTOR_BYTES, fill);
	return Buffer.concat([toHeader(1n, sector * SECTOR_BYTES, data.length), data]);
}

function toHeader(kind: bigint, offset: number, length: number): Buffer {
	const header = Buffer.alloc(24);
	header.writeBigUInt64LE(kind, 0);
	header.writeBigUInt64LE(BigInt(offset), 8);
	header.writeBigUInt64LE(BigInt(length), 16);
	return header;
}

const FLUSH = toHeader(2n, 0, 0);
const DISK_SECTORS = 6;
/** Keeps every sector, in its last version; keeps none. */
const KEEP_ALL: Random = {...seededRandom(1), chance: () => true};
const KEEP_NONE: Random = {...KEEP_ALL, chance: () => false};
const SEEDS = 60;

async function withLog(records: readonly Buffer[], use: (log: WriteLog, dir: string) => Promise<void>): Promise<void> {
	const dir = await mkdtemp(join(tmpdir(), 'berth-write-log-'));
	try {
		await writeFile(join(dir, 'log'), Buffer.concat(records));
		await writeFile(join(dir, 'base'), Buffer.alloc(DISK_SECTORS * SECTOR_BYTES, '.'));
		await using log = await WriteLog.open(join(dir, 'log'));
		await use(log, dir);
	} finally {
		await rm(dir, {recursive: true, force: true});
	}
}

/** One letter for each sector; "?" for one that is mixed. */
async function readSectors(path: string): Promise<string> {
	const disk = await readFile(path);
	const sectors = Array.from({length: DISK_SECTORS}, (_, index) => disk.subarray(index * SECTOR_BYTES, (index + 1) * SECTOR_BYTES));
	return sectors.map(sector => (sector.every(byte => byte === sector[0]) ? String.fromCodePoint(sector[0] ?? 0) : '?')).join('');
}

test('the log is read record by record; one that is cut short is left out', async t => {
	await withLog([writeRecord(0, 'a'), FLUSH, writeRecord(1, 'b', 2), writeRecord(3, 'c').subarray(0, 100)], async log => {
		t.deepEqual(
			log.records.map(({kind, offsetBytes, lengthBytes}) => [kind, offsetBytes, lengthBytes]),
			[
				['write', 0, SECTOR_BYTES],
				['flush', 0, 0],
				['write', SECTOR_BYTES, 2 * SECTOR_BYTES],
			],
		);
		t.is(log.countAt(0), 0);
		t.is(log.countAt(1), 1, 'a record that is being written is on its way');
		t.is(log.countAt(log.positionAt(2)), 2);
		t.is(log.flushedAt(3), 2);
		t.is(log.flushedAt(1), 0);
		t.is(log.flushedAt(3, 1), 0);
	});
});

test('a cut loses what was not flushed, never what was, and nothing of the future happens', async t => {
	const records = [writeRecord(0, 'a'), writeRecord(1, 'b'), FLUSH, writeRecord(1, 'c'), writeRecord(2, 'd'), writeRecord(3, 'e')];
	await withLog(records, async (log, dir) => {
		await using disk = new CutDisk(log, {base: join(dir, 'base'), flushed: join(dir, 'flushed')});
		const path = join(dir, 'cut');
		const cut = async (count: number, ignoredFlushes: number, random: Random): Promise<string> => {
			await disk.build({records: count, ignoredFlushes, keepChance: 0.5}, random, path);
			return await readSectors(path);
		};
		t.is(await cut(5, 0, KEEP_ALL), 'acd...');
		t.is(await cut(5, 0, KEEP_NONE), 'ab....');
		t.is(await cut(5, 1, KEEP_NONE), '......', 'the flush was ignored');
		t.is(await cut(2, 0, KEEP_NONE), '......', 'there was no flush yet');
		const seen = new Set<string>();
		for (let seed = 0; seed < SEEDS; seed++) seen.add(await cut(5, 0, seededRandom(seed)));
		t.deepEqual([...seen].sort(), ['ab....', 'abd...', 'ac....', 'acd...'], 'each sector is lost or kept by itself');
	});
});

test('of several unflushed writes to a sector any may be what is left', async t => {
	await withLog([writeRecord(0, 'a'), writeRecord(0, 'b'), writeRecord(0, 'c')], async (log, dir) => {
		await using disk = new CutDisk(log, {base: join(dir, 'base'), flushed: join(dir, 'flushed')});
		const seen = new Set<string>();
		for (let seed = 0; seed < SEEDS; seed++) {
			await disk.build({records: 3, ignoredFlushes: 0, keepChance: 0.5}, seededRandom(seed), join(dir, 'cut'));
			seen.add((await readSectors(join(dir, 'cut'))).slice(0, 1));
		}
		t.deepEqual([...seen].sort(), ['.', 'a', 'b', 'c']);
	});
});

test('a write of less than a sector leaves the rest of the sector as it was', async t => {
	const small = Buffer.concat([toHeader(1n, SECTOR_BYTES + 512, 512), Buffer.alloc(512, 'x')]);
	await withLog([writeRecord(1, 'a'), small], async (log, dir) => {
		await using disk = new CutDisk(log, {base: join(dir, 'base'), flushed: join(dir, 'flushed')});
		await disk.build({records: 2, ignoredFlushes: 0, keepChance: 0.5}, KEEP_ALL, join(dir, 'cut'));
		const sector = (await readFile(join(dir, 'cut'))).subarray(SECTOR_BYTES, 2 * SECTOR_BYTES).toString();
		t.is(sector, 'a'.repeat(512) + 'x'.repeat(512) + 'a'.repeat(SECTOR_BYTES - 1024));
	});
});
