import {createHash} from 'node:crypto';
import {lstat, readdir, readFile, readlink} from 'node:fs/promises';
import {join} from 'node:path';
import type {TarEntry} from '../../fixtures/tar.js';

/** The one place of the tests that knows the store's layout: layers/<name>/{layer.json,fs}, images/<hex>.json, content/. */
export interface StoreFiles {
	/** Name → diffId; null: a directory that says none. */
	readonly layers: ReadonlyMap<string, string | null>;
	readonly imageIds: readonly string[];
	/** Everything else that is no record, layer or empty directory: paths below root_dir. */
	readonly others: readonly string[];
}

export async function listStoreFiles(rootDir: string): Promise<StoreFiles> {
	const layers = new Map<string, string | null>();
	for (const name of await readdirOrNone(join(rootDir, 'layers'))) if (name !== 'empty') layers.set(name, await readDiffId(rootDir, name));
	const records = await readdirOrNone(join(rootDir, 'images'));
	const isRecord = (name: string): boolean => /^[0-9a-f]{64}\.json$/.test(name);
	const content = await listFiles(join(rootDir, 'content'));
	return {
		layers,
		imageIds: records.filter(isRecord).map(name => `sha256:${name.slice(0, 64)}`),
		others: [...records.filter(name => !isRecord(name)).map(name => join('images', name)), ...content.map(path => join('content', path))],
	};
}

/** @returns what of the layer is not as its archive says; [] = intact. */
export async function findDamage(rootDir: string, name: string, entries: readonly TarEntry[]): Promise<readonly string[]> {
	const expected = toLines(entries);
	const found = await readTree(join(rootDir, 'layers', name, 'fs'));
	const damage: string[] = [];
	for (const [path, line] of expected) if (found.get(path) !== line) damage.push(`${path}: ${found.get(path) ?? 'missing'}, must be ${line}`);
	for (const [path, line] of found) if (!expected.has(path)) damage.push(`${path}: ${line}, must not be there`);
	return damage;
}

/** One line for each path: kind, mode, owner, and content by its hash or target. Hard links say the first path of their file. */
function toLines(entries: readonly TarEntry[]): ReadonlyMap<string, string> {
	const lines = new Map<string, string>();
	const links = new Map<string, string[]>();
	for (const entry of entries) if (entry.type === 'hardlink') links.set(entry.target, [...(links.get(entry.target) ?? []), entry.path]);
	for (const entry of entries) {
		const path = entry.path.replace(/\/$/, '');
		const owner = `${entry.uid ?? 0}:${entry.gid ?? 0}`;
		if (entry.type === 'directory') lines.set(path, `directory ${toMode(entry.mode ?? 0o755)} ${owner}`);
		else if (entry.type === 'symlink') lines.set(path, `symlink ${owner} ${entry.target}`);
		else if (entry.type === 'file') {
			const line = fileLine(entry.mode ?? 0o644, owner, Buffer.from(entry.content));
			const paths = [path, ...(links.get(path) ?? [])].sort();
			for (const name of paths) lines.set(name, `${line} at ${paths[0] ?? ''}`);
		}
	}
	return lines;
}

async function readTree(root: string): Promise<ReadonlyMap<string, string>> {
	const lines = new Map<string, string>();
	const firstPaths = new Map<number, string>();
	const paths = await readdirOrNone(root, true);
	for (const path of [...paths].sort()) {
		const {mode, uid, gid, ino} = await lstat(join(root, path));
		const owner = `${uid}:${gid}`;
		const kind = mode & 0o170000;
		if (kind === 0o040000) lines.set(path, `directory ${toMode(mode)} ${owner}`);
		else if (kind === 0o120000) lines.set(path, `symlink ${owner} ${await readlink(join(root, path))}`);
		else if (kind === 0o100000) {
			if (!firstPaths.has(ino)) firstPaths.set(ino, path);
			lines.set(path, `${fileLine(mode, owner, await readFile(join(root, path)))} at ${firstPaths.get(ino) ?? ''}`);
		} else lines.set(path, `kind ${kind.toString(8)}`);
	}
	return lines;
}

function fileLine(mode: number, owner: string, content: Buffer): string {
	return `file ${toMode(mode)} ${owner} ${content.length} bytes sha256 ${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;
}

function toMode(mode: number): string {
	return (mode & 0o7777).toString(8);
}

async function readDiffId(rootDir: string, name: string): Promise<string | null> {
	try {
		const {diffId} = JSON.parse(await readFile(join(rootDir, 'layers', name, 'layer.json'), 'utf8')) as {readonly diffId?: unknown};
		return typeof diffId === 'string' ? diffId : null;
	} catch {
		// Torn or absent: no layer that an image could use.
		return null;
	}
}

async function listFiles(root: string): Promise<readonly string[]> {
	try {
		const entries = await readdir(root, {recursive: true, withFileTypes: true});
		return entries.filter(entry => !entry.isDirectory()).map(entry => join(entry.parentPath, entry.name).slice(root.length + 1));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
		throw error;
	}
}

async function readdirOrNone(path: string, recursive = false): Promise<readonly string[]> {
	try {
		return await readdir(path, {recursive});
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
		throw error;
	}
}
