import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {statSync} from 'node:fs';
import {mkdir, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {systemClock} from '../../../base/clock.js';
import {PROJECT_DIR} from '../../fixtures/images.js';
import {run, runOk} from '../../rig/command.js';
import {copySparse} from './cut-disk.js';

const PROGRAM = join(PROJECT_DIR, 'build/critest/power-disk');
/** Preload for a daemon whose syncs are to do nothing. */
export const NO_SYNC_LIBRARY = join(PROJECT_DIR, 'build/critest/no-sync.so');
const DISK_BYTES = 160 << 20;
/** As on a node's disk; a small journal wraps soon, so that metadata is written in place too. */
const MAKE_FILE_SYSTEM = ['mkfs.ext4', '-q', '-F', '-b', '4096', '-J', 'size=8', '-E', 'nodiscard,lazy_itable_init=0,lazy_journal_init=0'];

/** A mounted file system on a disk that writes down all that it takes. */
export interface PowerDisk extends AsyncDisposable {
	readonly mountPoint: string;
	/** The log's size: everything that the disk took so far is in it. */
	position(): number;
}
export interface DiskFiles {
	/** The disk as it was before it was first mounted. */
	readonly base: string;
	readonly log: string;
}

/** Makes the disk in `dir`, with ext4 in its default options on it: FUSE file ← loop device (direct I/O) ← ext4. */
export async function openPowerDisk(dir: string, files: DiskFiles): Promise<PowerDisk> {
	const [image, served, mountPoint] = [join(dir, 'disk.img'), join(dir, 'served'), join(dir, 'live')];
	await using undo = new AsyncDisposableStack();
	for (const directory of [served, mountPoint]) await mkdir(directory, {recursive: true});
	await writeFile(files.base, '');
	await truncate(files.base, DISK_BYTES);
	await runOk([...MAKE_FILE_SYSTEM, files.base]);
	await copySparse(files.base, image);
	const child = spawn(PROGRAM, [image, files.log, served], {stdio: ['ignore', 'pipe', 'inherit']});
	undo.defer(() => endDisk(child, served));
	await ready(child);
	const device = (await runOk(['losetup', '--find', '--show', '--direct-io=on', join(served, 'disk')])).trim();
	try {
		await runOk(['mount', '-t', 'ext4', device, mountPoint]);
		undo.defer(() => unmount(mountPoint));
	} finally {
		// While it is mounted, this only lets the device go with the mount.
		await runOk(['losetup', '--detach', device]);
	}
	const opened = undo.move();
	return {mountPoint, position: () => statSync(files.log).size, [Symbol.asyncDispose]: () => opened.disposeAsync()};
}

/** Mounts what a cut left: ext4 replays its journal. @throws what mount(8) says. */
export async function mountImage(image: string, mountPoint: string): Promise<AsyncDisposable & {readonly mountPoint: string}> {
	await mkdir(mountPoint, {recursive: true});
	await runOk(['mount', '-t', 'ext4', '-o', 'loop', image, mountPoint]);
	return {mountPoint, [Symbol.asyncDispose]: () => unmount(mountPoint)};
}

/** Who just ended may hold the file system a moment longer. */
async function unmount(mountPoint: string): Promise<void> {
	for (let attempt = 0; attempt < 100; attempt++) {
		if ((await run(['umount', mountPoint])).exitCode === 0) return;
		await systemClock.sleep(50);
	}
	await run(['umount', '-l', mountPoint]);
	throw new Error(`${mountPoint} is still in use: unmounted lazily`);
}

async function ready(child: ChildProcess): Promise<void> {
	if (child.stdout === null) throw new Error('power-disk has no stdout');
	const [answer] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as readonly unknown[];
	if (String(answer).trim() !== 'ready') throw new Error(`power-disk did not start: ${String(answer)}`);
}

async function endDisk(child: ChildProcess, served: string): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) {
		await run(['umount', '-l', served]);
		throw new Error(`power-disk ended early: exit code ${child.exitCode}, signal ${child.signalCode}`);
	}
	const ended = once(child, 'exit');
	// It ends with its mount; one that is still in use loses its disk.
	if ((await run(['umount', served])).exitCode !== 0) {
		child.kill('SIGKILL');
		await run(['umount', '-l', served]);
	}
	const [exitCode] = (await ended) as [number | null];
	if (exitCode !== 0) throw new Error(`power-disk ended with exit code ${exitCode}`);
}
