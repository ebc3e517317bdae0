import {randomBytes} from 'node:crypto';
import {link, mkdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {CorruptError, UnavailableError} from '../base/errors.js';

/** Who holds a lock: a process, told from a later one of the same pid by its start time and boot. */
interface Holder {
	readonly pid: number;
	/** Field 22 of /proc/<pid>/stat, clock ticks since boot (proc(5)). */
	readonly startTicks: string;
	readonly bootId: string;
}

export interface DaemonLock {
	/** Idempotent. */
	release(): Promise<void>;
}

/**
 * Takes `<directory>/daemon.lock`, so that no two daemons share one directory. The lock of a daemon that died is taken over.
 *
 * Node has no flock(2). The file appears whole by link(2), which fails where there is one already. A dead holder's file is renamed away
 * and then looked at again: if another starter had been faster and it is his, he gets it back.
 *
 * @throws {UnavailableError} another daemon holds it, with its pid.
 */
export async function takeDaemonLock(directory: string, bootId: string): Promise<DaemonLock> {
	await mkdir(directory, {recursive: true, mode: 0o700});
	const path = join(directory, 'daemon.lock');
	const mine = JSON.stringify({pid: process.pid, startTicks: (await startTicks(process.pid)) ?? '', bootId} satisfies Holder);
	const draft = `${path}.${randomBytes(6).toString('hex')}`;
	await writeFile(draft, mine, {flag: 'wx', mode: 0o600});
	try {
		while (!(await tryLink(draft, path))) await removeDeadHolder(path, directory, bootId);
	} finally {
		await rm(draft, {force: true});
	}
	return {release: () => rm(path, {force: true})};
}

async function removeDeadHolder(path: string, directory: string, bootId: string): Promise<void> {
	await assertDead(path, directory, bootId);
	const aside = `${path}.${randomBytes(6).toString('hex')}`;
	if (!(await tryRename(path, aside))) return;
	try {
		await assertDead(aside, directory, bootId);
	} catch (error) {
		await tryLink(aside, path);
		throw error;
	} finally {
		await rm(aside, {force: true});
	}
}

/** @throws {UnavailableError} the holder named in the file lives. */
async function assertDead(path: string, directory: string, bootId: string): Promise<void> {
	const content = await readOrNull(path);
	if (content === null) return;
	const holder = parse(path, content);
	if (holder.bootId !== bootId || (await startTicks(holder.pid)) !== holder.startTicks) return;
	throw new UnavailableError(`another daemon (pid ${holder.pid}) uses ${directory}`, {pid: holder.pid, directory});
}

function parse(path: string, content: string): Holder {
	try {
		return JSON.parse(content) as Holder;
	} catch (cause) {
		throw new CorruptError(`${path} is not a lock file of berth: remove it when no daemon runs`, {path}, {cause});
	}
}

/** null when there is no such process. */
async function startTicks(pid: number): Promise<string | null> {
	const stat = await readOrNull(`/proc/${pid}/stat`);
	// The name, field 2, may hold blanks and parentheses: count from behind its end.
	return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

async function readOrNull(path: string): Promise<string | null> {
	try {
		return await readFile(path, 'utf8');
	} catch (error) {
		// ESRCH: the process ended between open and read.
		if (isCode(error, 'ENOENT') || isCode(error, 'ESRCH')) return null;
		throw error;
	}
}

async function tryLink(existing: string, path: string): Promise<boolean> {
	try {
		await link(existing, path);
		return true;
	} catch (error) {
		if (isCode(error, 'EEXIST')) return false;
		throw error;
	}
}

async function tryRename(from: string, to: string): Promise<boolean> {
	try {
		await rename(from, to);
		return true;
	} catch (error) {
		if (isCode(error, 'ENOENT')) return false;
		throw error;
	}
}

function isCode(error: unknown, code: string): boolean {
	return (error as NodeJS.ErrnoException).code === code;
}
