import {execFile} from 'node:child_process';
import {lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {setImmediate} from 'node:timers/promises';
import {promisify} from 'node:util';
import type {ExecutionContext} from 'ava';
import {type FakeEntry, toTar} from './fake-tar.js';
import type {UnpackRequest, UnpackResult} from './native.js';
import {openNative} from './open-native.js';

export const {kernel} = openNative();
export const run = promisify(execFile);

/** A directory of the test's own, gone after it. */
export async function makeDir(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(path.join(tmpdir(), 'berth-unpack-'));
	t.teardown(async () => await rm(dir, {recursive: true, force: true}));
	return dir;
}

export interface UnpackChoices {
	readonly compression?: UnpackRequest['compression'];
	readonly maxBytes?: number;
	readonly maxInodes?: number;
	/** Size of the pieces that the stream comes in. */
	readonly pieceBytes?: number;
}

/** Unpacks `stream` into `targetDir`, which is made when missing. A failure leaves no thread behind. */
export async function unpack(targetDir: string, stream: Buffer, choices: UnpackChoices = {}): Promise<UnpackResult> {
	const {compression = 'none', maxBytes = 2 ** 32, maxInodes = 100_000, pieceBytes = 65_536} = choices;
	await mkdir(targetDir, {recursive: true});
	const unpacker = await kernel.openUnpacker({targetDir, compression, maxBytes, maxInodes});
	try {
		for (let at = 0; at < stream.length; at += pieceBytes) await unpacker.write(stream.subarray(at, at + pieceBytes));
		return await unpacker.finish();
	} finally {
		await unpacker.abort();
	}
}

/** A layer of these entries in a new directory. @returns where it is. */
export async function layerOf(t: ExecutionContext, entries: readonly FakeEntry[]): Promise<string> {
	const dir = `${await makeDir(t)}/fs`;
	await unpack(dir, toTar(entries));
	return dir;
}

/** "type mode uid:gid mtime" of a path, for comparisons that read well. */
export async function describe(file: string): Promise<string> {
	const {mode, uid, gid, mtimeNs} = await lstat(file, {bigint: true});
	const type = ({0o10: 'fifo', 0o20: 'char', 0o40: 'dir', 0o60: 'block', 0o100: 'file', 0o120: 'link'} as Record<number, string>)[Number(mode >> 9n) & 0o170];
	return `${type} ${(Number(mode) & 0o7777).toString(8)} ${uid}:${gid} ${mtimeNs}`;
}

/** Every path below `dir`, sorted. Links are not followed (readdir's `recursive` does). */
export async function list(dir: string): Promise<readonly string[]> {
	const {stdout} = await run('find', [dir, '-mindepth', '1', '-printf', '%P\\0'], {maxBuffer: 1 << 26});
	return stdout.split('\0').filter(Boolean).toSorted();
}

/** The xattrs of a path as the kernel has them, hex by name; links are not followed. */
export async function xattrs(file: string): Promise<Readonly<Record<string, string>>> {
	const program =
		'import json,os,sys\nf=sys.argv[1]\nprint(json.dumps({n: os.getxattr(f,n,follow_symlinks=False).hex() for n in os.listxattr(f,follow_symlinks=False)}))';
	return JSON.parse((await run('python3', ['-c', program, file])).stdout) as Readonly<Record<string, string>>;
}

export async function isWhiteout(file: string): Promise<boolean> {
	const status = await lstat(file);
	return status.isCharacterDevice() && status.rdev === 0;
}

export async function linkTarget(file: string): Promise<string> {
	return await readlink(file);
}

/** Threads that write a layer into `dir`. */
export async function writersOf(dir: string): Promise<readonly string[]> {
	const writers: string[] = [];
	for (const id of await readdir('/proc/self/task')) {
		const task = `/proc/self/task/${id}`;
		// Threads end while they are listed.
		const comm = await readFile(`${task}/comm`, 'utf8').catch(() => '');
		if (comm === 'berth-layer\n' && (await readlink(`${task}/root`).catch(() => '')) === dir) writers.push(task);
	}
	return writers;
}

/** A thread that was joined may be listed for a moment. */
export async function untilNone(dir: string): Promise<void> {
	while ((await writersOf(dir)).length > 0) await setImmediate();
}
