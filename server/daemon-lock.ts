import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {CorruptError, UnavailableError} from '../base/errors.js';
import type {FileLock, Kernel} from '../native/native.js';

/**
 * Takes `<directory>/daemon.lock`, so that no two daemons share one directory. It is the kernel's lock: that of a daemon that died is free, and of many
 * starters exactly one gets it. What is written in the file only tells people who has it.
 *
 * @throws {UnavailableError} another daemon holds it, with its pid. {CorruptError} the file there is something else.
 */
export async function takeDaemonLock(kernel: Kernel, directory: string): Promise<FileLock> {
	await mkdir(directory, {recursive: true, mode: 0o700});
	const path = join(directory, 'daemon.lock');
	const lock = await kernel.lockFile(path);
	if (lock === null) {
		const pid = toPid(await readFile(path, 'utf8')) ?? 0;
		throw new UnavailableError(`another daemon (${pid === 0 ? 'pid not known' : `pid ${pid}`}) uses ${directory}`, {pid, directory});
	}
	try {
		const content = await readFile(path, 'utf8');
		if (content !== '' && toPid(content) === null) throw new CorruptError(`${path} is not a lock file of berth: remove it when no daemon runs`, {path});
		await writeFile(path, JSON.stringify({pid: process.pid}));
	} catch (error) {
		lock.release();
		throw error;
	}
	return lock;
}

function toPid(content: string): number | null {
	try {
		const {pid} = JSON.parse(content) as {readonly pid?: unknown};
		return typeof pid === 'number' ? pid : null;
	} catch {
		return null;
	}
}
