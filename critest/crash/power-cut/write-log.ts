import {type FileHandle, open} from 'node:fs/promises';

/** As power-disk.c writes it: three little-endian 64-bit numbers (kind, offset, length), then the data. */
const HEADER_BYTES = 24;
const KINDS = {write: 1n, flush: 2n} as const;

/** What the disk took, in its order. */
export interface LogRecord {
	readonly kind: 'write' | 'flush';
	/** Where on the disk. */
	readonly offsetBytes: number;
	readonly lengthBytes: number;
	/** Where the data lies in the log. */
	readonly dataBytes: number;
	/** The log's size once this record was in it. */
	readonly endBytes: number;
}

export class WriteLog implements AsyncDisposable {
	readonly records: readonly LogRecord[];
	readonly #file: FileHandle;

	private constructor(file: FileHandle, records: readonly LogRecord[]) {
		this.#file = file;
		this.records = records;
	}

	/** @throws {Error} a record of an unknown kind: not such a log. A last record that is cut short is left out. */
	static async open(path: string): Promise<WriteLog> {
		const file = await open(path, 'r');
		try {
			return new WriteLog(file, await readRecords(file));
		} catch (error) {
			await file.close();
			throw error;
		}
	}

	async data(record: LogRecord): Promise<Buffer> {
		const data = Buffer.alloc(record.lengthBytes);
		const {bytesRead} = await this.#file.read(data, 0, data.length, record.dataBytes);
		if (bytesRead !== data.length) throw new Error(`log: ${bytesRead} of ${data.length} bytes at ${record.dataBytes}`);
		return data;
	}

	/** How many records were in the log when it had this size. One that was being written counts: it was on its way to the disk. */
	countAt(positionBytes: number): number {
		const index = this.records.findIndex(({endBytes}) => endBytes >= positionBytes);
		return positionBytes === 0 ? 0 : index < 0 ? this.records.length : index + 1;
	}

	/** The log's size after so many records. */
	positionAt(count: number): number {
		return count === 0 ? 0 : (this.records[count - 1]?.endBytes ?? 0);
	}

	/** How many records the disk had when it ended the flush that is the last before `count`, less `ignored` flushes; 0: none was. */
	flushedAt(count: number, ignored = 0): number {
		let left = ignored;
		for (let index = count - 1; index >= 0; index--) if (this.records[index]?.kind === 'flush' && left-- === 0) return index + 1;
		return 0;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#file.close();
	}
}

async function readRecords(file: FileHandle): Promise<readonly LogRecord[]> {
	const {size: sizeBytes} = await file.stat();
	const records: LogRecord[] = [];
	const header = Buffer.alloc(HEADER_BYTES);
	for (let at = 0; at + HEADER_BYTES <= sizeBytes; ) {
		await file.read(header, 0, HEADER_BYTES, at);
		const kind = header.readBigUInt64LE(0);
		if (kind !== KINDS.write && kind !== KINDS.flush) throw new Error(`log: unknown kind ${kind} at ${at}`);
		const [offsetBytes, lengthBytes] = [Number(header.readBigUInt64LE(8)), Number(header.readBigUInt64LE(16))];
		const endBytes = at + HEADER_BYTES + lengthBytes;
		if (endBytes > sizeBytes) break;
		records.push({kind: kind === KINDS.write ? 'write' : 'flush', offsetBytes, lengthBytes, dataBytes: at + HEADER_BYTES, endBytes});
		at = endBytes;
	}
	return records;
}
