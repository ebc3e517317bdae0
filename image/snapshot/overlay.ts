import {randomBytes} from 'node:crypto';
import {mkdir, readdir, readFile, rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Logger} from '../../base/log.js';
import type {Kernel} from '../../native/native.js';
import type {Snapshot, Usage} from '../image.js';
import type {LayerStore} from '../layer/layer-store.js';

const USAGE_MAX_AGE_MS = 10_000;

/** Writable layers for overlay: containers/<key>/{upper,work}. Another driver would have the same four methods. */
export class OverlaySnapshots {
	readonly #dir: string;
	readonly #kernel: Kernel;
	readonly #layers: LayerStore;
	/** Key → diffIds that it keeps. */
	readonly #snapshots = new Map<string, readonly string[]>();
	readonly #usage = new Map<string, {readonly atMs: number; readonly usage: Usage}>();

	private constructor(dir: string, kernel: Kernel, layers: LayerStore) {
		this.#dir = dir;
		this.#kernel = kernel;
		this.#layers = layers;
	}

	static async open(rootDir: string, kernel: Kernel, layers: LayerStore, log: Logger): Promise<OverlaySnapshots> {
		const snapshots = new OverlaySnapshots(join(rootDir, 'containers'), kernel, layers);
		await mkdir(snapshots.#dir, {recursive: true, mode: 0o711});
		for (const key of await readdir(snapshots.#dir)) {
			const diffIds = await readDiffIds(join(snapshots.#dir, key));
			if (diffIds === null) {
				log.warn({key}, 'half-made snapshot removed');
				await kernel.removeTree(join(snapshots.#dir, key));
				continue;
			}
			layers.retain(diffIds);
			snapshots.#snapshots.set(key, diffIds);
		}
		return snapshots;
	}

	async prepare(key: string, diffIds: readonly string[]): Promise<Snapshot> {
		const dir = join(this.#dir, key);
		const snapshot = {lowerDirs: this.#layers.lowerDirs(diffIds), upperDir: join(dir, 'upper'), workDir: join(dir, 'work')};
		if (this.#snapshots.has(key)) return snapshot;
		this.#snapshots.set(key, diffIds);
		this.#layers.retain(diffIds);
		try {
			await mkdir(dir, {mode: 0o711});
			await Promise.all([
				mkdir(snapshot.upperDir, {mode: 0o755}),
				mkdir(snapshot.workDir, {mode: 0o700}),
				writeFile(join(dir, 'snapshot.json'), JSON.stringify({version: 1, diffIds}), {mode: 0o600}),
			]);
			return snapshot;
		} catch (error) {
			await this.remove(key);
			throw error;
		}
	}

	/** @returns the layers that it kept, for collection. */
	async remove(key: string): Promise<readonly string[]> {
		const diffIds = this.#snapshots.get(key);
		if (diffIds === undefined) return [];
		const gone = join(this.#dir, `gone-${randomBytes(6).toString('hex')}`);
		try {
			await rename(join(this.#dir, key), gone);
			await this.#kernel.removeTree(gone);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
		}
		this.#snapshots.delete(key);
		this.#usage.delete(key);
		this.#layers.release(diffIds);
		return diffIds;
	}

	keys(): readonly string[] {
		return [...this.#snapshots.keys()];
	}

	/** Walked at most every ten seconds per writable layer; counting by project quota comes with the containers issue. */
	async usage(key: string): Promise<Usage | null> {
		if (!this.#snapshots.has(key)) return null;
		const known = this.#usage.get(key);
		if (known !== undefined && performance.now() - known.atMs < USAGE_MAX_AGE_MS) return known.usage;
		const usage = await this.#kernel.treeUsage(join(this.#dir, key, 'upper'));
		this.#usage.set(key, {atMs: performance.now(), usage});
		return usage;
	}

	/** Sum of what was last counted. */
	knownUsage(): Usage {
		let bytes = 0;
		let inodes = 0;
		for (const {usage} of this.#usage.values()) {
			bytes += usage.bytes;
			inodes += usage.inodes;
		}
		return {bytes, inodes};
	}
}

async function readDiffIds(dir: string): Promise<readonly string[] | null> {
	try {
		const {diffIds} = JSON.parse(await readFile(join(dir, 'snapshot.json'), 'utf8')) as {readonly diffIds: unknown};
		return Array.isArray(diffIds) && diffIds.every(id => typeof id === 'string') ? diffIds : null;
	} catch {
		return null;
	}
}
