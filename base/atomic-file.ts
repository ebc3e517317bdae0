import {randomBytes} from 'node:crypto';
import {open, rename, rm} from 'node:fs/promises';
import {dirname} from 'node:path';

export interface AtomicWriteOptions {
	/** Permission bits; default 0o600. */
	readonly mode?: number;
	/** Sync the data and the directory, so that the file survives a power cut. Default false: it survives the daemon's death only. */
	readonly durable?: boolean;
}

/** Replaces `path` by `data` in one step: a reader sees the old content or the new, never a part. */
export async function writeFileAtomic(path: string, data: string | Uint8Array, options: AtomicWriteOptions = {}): Promise<void> {
	const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
	try {
		const file = await open(temporary, 'wx', options.mode ?? 0o600);
		try {
			await file.writeFile(data);
			if (options.durable === true) await file.datasync();
		} finally {
			await file.close();
		}
		await rename(temporary, path);
	} catch (error) {
		await rm(temporary, {force: true});
		throw error;
	}
	if (options.durable === true) await syncDirectory(dirname(path));
}

/** Makes a rename in `path` survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
	const directory = await open(path, 'r');
	try {
		await directory.sync();
	} finally {
		await directory.close();
	}
}
