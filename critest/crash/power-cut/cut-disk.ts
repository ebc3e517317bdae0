import {type FileHandle, open} from 'node:fs/promises';
import {runOk} from '../../rig/command.js';
import type {Random} from './random.js';
import type {WriteLog} from './write-log.js';

/** A disk writes a sector whole or not at all; this is the physical sector of nearly all disks of today. */
export const SECTOR_BYTES = 4096;
/** A moment at which the power goes. */
export interface Cut {
	/** The disk had taken so many records of the log. */
	readonly records: number;
	/** Flushes before the moment that the disk only said to have done. 0: an honest disk. */
	readonly ignoredFlushes: number;
	/** Of each unflushed sector, to be written after all; 1: everything but the future. */
	readonly keepChance: number;
}
export interface CutFigures {
	/** Sectors written since the last flush. */
	readonly unflushed: number;
	/** Of these, sectors that have no write of that time; old: an earlier write than the last. */
	readonly dropped: number;
	readonly old: number;
}

/** Makes what is left on the disk after a cut. Quick when the cuts come in the order of their records: the state at the last flush is carried on. */
export class CutDisk implements AsyncDisposable {
	readonly #log: WriteLog;
	readonly #basePath: string;
	readonly #flushedPath: string;
	#flushed: {readonly file: FileHandle; records: number} | null = null;

	/** @param paths base: the disk before the log's first record. flushed: a file for its own use. */
	constructor(log: WriteLog, paths: {readonly base: string; readonly flushed: string}) {
		this.#log = log;
		this.#basePath = paths.base;
		this.#flushedPath = paths.flushed;
	}

	/** All that was flushed, and of each sector written since then: what it was at the flush, or any of its later writes, whatever became of other sectors. */
	async build({records, ignoredFlushes, keepChance}: Cut, random: Random, path: string): Promise<CutFigures> {
		const flushedRecords = this.#log.flushedAt(records, ignoredFlushes);
		await this.#advance(flushedRecords);
		await copySparse(this.#flushedPath, path);
		const sectors = await this.#collect(flushedRecords, records);
		let [dropped, old] = [0, 0];
		await using file = await open(path, 'r+');
		for (const [offsetBytes, versions] of sectors) {
			if (!random.chance(keepChance)) {
				dropped++;
				continue;
			}
			// The last write mostly: it is what a cache holds, unless the disk had written an earlier one out before.
			const version = random.chance(0.8) ? versions.length - 1 : random.integer(versions.length);
			if (version < versions.length - 1) old++;
			const data = versions[version];
			if (data !== undefined) await file.write(data, 0, data.length, offsetBytes);
		}
		return {unflushed: sectors.size, dropped, old};
	}

	async #advance(records: number): Promise<void> {
		if (this.#flushed === null || this.#flushed.records > records) {
			await this.#flushed?.file.close();
			this.#flushed = null;
			await copySparse(this.#basePath, this.#flushedPath);
			this.#flushed = {file: await open(this.#flushedPath, 'r+'), records: 0};
		}
		for (; this.#flushed.records < records; this.#flushed.records++) {
			const record = this.#log.records[this.#flushed.records];
			if (record?.kind === 'write') await this.#flushed.file.write(await this.#log.data(record), 0, record.lengthBytes, record.offsetBytes);
		}
	}

	/** The writes of the records [from, to) by sector, oldest first. A write of less than a sector is carried out on the sector as it was. */
	async #collect(from: number, to: number): Promise<ReadonlyMap<number, readonly Buffer[]>> {
		const sectors = new Map<number, Buffer[]>();
		for (const record of this.#log.records.slice(from, to)) {
			if (record.kind !== 'write') continue;
			const data = await this.#log.data(record);
			const endBytes = record.offsetBytes + record.lengthBytes;
			const firstBytes = record.offsetBytes - (record.offsetBytes % SECTOR_BYTES);
			for (let sectorBytes = firstBytes; sectorBytes < endBytes; sectorBytes += SECTOR_BYTES) {
				const versions = sectors.get(sectorBytes) ?? [];
				const sector = Buffer.from(versions.at(-1) ?? (await this.#readFlushed(sectorBytes)));
				const startBytes = Math.max(record.offsetBytes, sectorBytes);
				data.copy(sector, startBytes - sectorBytes, startBytes - record.offsetBytes, Math.min(endBytes, sectorBytes + SECTOR_BYTES) - record.offsetBytes);
				sectors.set(sectorBytes, [...versions, sector]);
			}
		}
		return sectors;
	}

	async #readFlushed(offsetBytes: number): Promise<Buffer> {
		const sector = Buffer.alloc(SECTOR_BYTES);
		await this.#flushed?.file.read(sector, 0, SECTOR_BYTES, offsetBytes);
		return sector;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#flushed?.file.close();
	}
}

export async function copySparse(from: string, to: string): Promise<void> {
	await runOk(['cp', '--sparse=always', '--', from, to]);
}
