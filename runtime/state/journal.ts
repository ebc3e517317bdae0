import {constants} from 'node:fs';
import {type FileHandle, open, readFile, rename, rm} from 'node:fs/promises';
import {dirname} from 'node:path';
import {syncDirectory} from '../../base/atomic-file.js';
import type {Clock} from '../../base/clock.js';
import {CorruptError} from '../../base/errors.js';
import type {Logger} from '../../base/log.js';
import {type AnyRecord, type Entry, fromJson, HEADER_LINE, JOURNAL_VERSION, toCurrent, toLine, unseal} from './codec.js';

/** A line that could not be used; the rest is served all the same. */
export interface Damage {
	/** 1-based. */
	readonly line: number;
	readonly reason: string;
	/** The object's id, when it could be made out. */
	readonly id: string | null;
}

export interface ReadJournal {
	readonly records: ReadonlyMap<string, AnyRecord>;
	readonly damage: readonly Damage[];
}

const COMPACT_AT_LEAST_BYTES = 4 << 20;
const SYNC_DELAY_MS = 500;

/** @throws {CorruptError} a journal of a newer version, which must not be rewritten by this one. */
export function parseJournal(text: string): ReadJournal {
	const records = new Map<string, AnyRecord>();
	const damage: Damage[] = [];
	const lines = text.split('\n');
	// What follows the last newline is a write cut short by the daemon's death: its caller never got an answer.
	lines.pop();
	for (const [index, line] of lines.entries()) {
		const json = unseal(line);
		if (json === null) {
			damage.push({line: index + 1, reason: 'checksum does not fit', id: /"id":"([0-9a-f]{64})"/.exec(line)?.[1] ?? null});
			continue;
		}
		const value = fromJson(json) as Entry | {readonly journal: string; readonly version: number};
		if ('journal' in value) {
			if (value.version > JOURNAL_VERSION) throw new CorruptError(`journal has version ${value.version}, this berth knows up to ${JOURNAL_VERSION}`);
		} else if (value.op === 'put') records.set(value.record.id, toCurrent(value.record));
		else records.delete(value.id);
	}
	return {records, damage};
}

/**
 * The append-only journal of all records. `append` resolves when the kernel has the line: the daemon's death loses nothing.
 * Appends that come while a write is under way go out together with the next one. The disk follows by one fdatasync
 * at most every 500 ms, off every call's path: after a power cut no pod runs any more, so the journal need only be parsable.
 */
export class Journal {
	readonly #path: string;
	readonly #snapshot: () => Iterable<AnyRecord>;
	readonly #clock: Clock;
	readonly #log: Logger;
	#file: FileHandle;
	#bytes: number;
	#compactAtBytes = COMPACT_AT_LEAST_BYTES;
	#pending: {line: string; done: () => void; failed: (error: unknown) => void}[] = [];
	#writing: Promise<void> | null = null;
	#syncing = false;

	private constructor(path: string, file: FileHandle, bytes: number, parts: JournalParts) {
		this.#path = path;
		this.#file = file;
		this.#bytes = bytes;
		this.#snapshot = parts.snapshot;
		this.#clock = parts.clock;
		this.#log = parts.log;
	}

	/** Reads the file (absent: empty). */
	static async read(path: string): Promise<ReadJournal> {
		try {
			return parseJournal(await readFile(path, 'utf8'));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
			return {records: new Map(), damage: []};
		}
	}

	/** Writes what `snapshot` gives as a new file in place of the old one and opens it for appending. */
	static async open(path: string, parts: JournalParts): Promise<Journal> {
		const {file, bytes} = await writeSnapshot(path, parts.snapshot());
		return new Journal(path, file, bytes, parts);
	}

	append(entry: Entry): Promise<void> {
		const line = toLine(entry);
		return new Promise((done, failed) => {
			this.#pending.push({line, done, failed});
			this.#writing ??= this.#drain();
		});
	}

	async close(): Promise<void> {
		while (this.#writing !== null) await this.#writing;
		await this.#file.datasync();
		await this.#file.close();
	}

	async #drain(): Promise<void> {
		// One turn of the loop lets calls that are ready now share the write.
		await Promise.resolve();
		while (this.#pending.length > 0) {
			const batch = this.#pending.splice(0);
			const data = Buffer.from(batch.map(({line}) => line).join(''));
			try {
				await this.#write(data);
			} catch (error) {
				for (const {failed} of batch) failed(error);
				continue;
			}
			for (const {done} of batch) done();
			if (this.#bytes > this.#compactAtBytes) await this.#compact();
		}
		// In the same turn as the look at #pending: an append in between would wait for ever.
		this.#writing = null;
		this.#syncSoon();
	}

	async #write(data: Buffer): Promise<void> {
		let offset = 0;
		try {
			while (offset < data.length) offset += (await this.#file.write(data, offset, data.length - offset, this.#bytes + offset)).bytesWritten;
		} catch (error) {
			// ENOSPC in the middle: the part that was written must not stand in front of the next line.
			await this.#file.truncate(this.#bytes);
			throw error;
		}
		this.#bytes += data.length;
	}

	async #compact(): Promise<void> {
		try {
			const {file, bytes} = await writeSnapshot(this.#path, this.#snapshot());
			await this.#file.close();
			this.#file = file;
			this.#bytes = bytes;
		} catch (error) {
			this.#log.warn({err: error, path: this.#path}, 'journal not compacted; it grows on');
		}
		this.#compactAtBytes = Math.max(COMPACT_AT_LEAST_BYTES, this.#bytes * 4);
	}

	#syncSoon(): void {
		if (this.#syncing) return;
		this.#syncing = true;
		void this.#clock.sleep(SYNC_DELAY_MS).then(async () => {
			this.#syncing = false;
			// The handle may have been closed meanwhile; a failed sync loses nothing while the machine is up.
			await this.#file.datasync().catch((error: unknown) => this.#log.debug({err: error}, 'journal not synced'));
		});
	}
}

export interface JournalParts {
	readonly snapshot: () => Iterable<AnyRecord>;
	readonly clock: Clock;
	readonly log: Logger;
}

async function writeSnapshot(path: string, records: Iterable<AnyRecord>): Promise<{readonly file: FileHandle; readonly bytes: number}> {
	const temporary = `${path}.new`;
	await rm(temporary, {force: true});
	const file = await open(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600);
	try {
		const lines = [HEADER_LINE];
		for (const record of records) lines.push(toLine({op: 'put', record}));
		const data = Buffer.from(lines.join(''));
		let offset = 0;
		while (offset < data.length) offset += (await file.write(data, offset, data.length - offset, offset)).bytesWritten;
		await file.datasync();
		await rename(temporary, path);
		await syncDirectory(dirname(path));
		return {file, bytes: data.length};
	} catch (error) {
		await file.close();
		await rm(temporary, {force: true});
		throw error;
	}
}
