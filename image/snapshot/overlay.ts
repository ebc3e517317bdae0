import {randomBytes} from 'node:crypto';
import {chmod, chown, mkdir, readdir, readFile, rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Logger} from '../../base/log.js';
import type {Kernel} from '../../native/native.js';
import type {Clock} from '../../base/clock.js';
import type {Owner, Snapshot, SnapshotFeature, Usage} from '../image.js';
import type {RootLook} from '../layer/layer-record.js';
import type {LayerStore} from '../layer/layer-store.js';
import type {Snapshotter} from './snapshotter.js';

/** A writable layer is counted anew when it is asked for and was last counted so long ago. */
const USAGE_MAX_AGE_MS = 10_000;
/** Between two counts of everything for ImageFsInfo, which the kubelet asks for every ten seconds. */
const SWEEP_INTERVAL_MS = 30_000;
/** What upper/ and work/ themselves take. */
const EMPTY: Usage = {bytes: 8192, inodes: 2};

export interface OverlayParts {
	readonly rootDir: string;
	readonly kernel: Kernel;
	readonly layers: LayerStore;
	readonly features: readonly SnapshotFeature[];
	readonly clock: Clock;
	readonly log: Logger;
}

/** Writable layers for overlay: containers/<key>/{upper,work}. The mount itself is made by the container's init, in its own mount namespace. */
export class OverlaySnapshots implements Snapshotter {
	readonly #dir: string;
	readonly #parts: OverlayParts;
	readonly #kernel: Kernel;
	readonly #layers: LayerStore;
	readonly #total = {bytes: 0, inodes: 0};
	#sweep: Promise<void> | null = null;
	#sweptAtMs = Number.NEGATIVE_INFINITY;
	#closed = false;
	/** Key → chainIds that it keeps. */
	readonly #snapshots = new Map<string, readonly string[]>();
	readonly #usage = new Map<string, {readonly atMs: number; readonly usage: Usage}>();

	private constructor(parts: OverlayParts) {
		this.#dir = join(parts.rootDir, 'containers');
		this.#parts = parts;
		this.#kernel = parts.kernel;
		this.#layers = parts.layers;
	}

	/** Half-made snapshots go. */
	static async open(parts: OverlayParts): Promise<OverlaySnapshots> {
		const {kernel, layers, log} = parts;
		const snapshots = new OverlaySnapshots(parts);
		await mkdir(snapshots.#dir, {recursive: true});
		// As with layers: what a container's root made setuid is not for the machine's users.
		await chmod(snapshots.#dir, 0o700);
		for (const key of await readdir(snapshots.#dir)) {
			const chainIds = await readChainIds(join(snapshots.#dir, key));
			if (chainIds === null) {
				log.warn({key}, 'half-made snapshot removed');
				await kernel.removeTree(join(snapshots.#dir, key));
				continue;
			}
			layers.retain(chainIds);
			snapshots.#snapshots.set(key, chainIds);
			snapshots.#count(key, EMPTY);
		}
		return snapshots;
	}

	async prepare(key: string, chainIds: readonly string[], owner: Owner | null): Promise<Snapshot> {
		const dir = join(this.#dir, key);
		const snapshot = {lowerDirs: this.#layers.lowerDirs(chainIds), upperDir: join(dir, 'upper'), workDir: join(dir, 'work')};
		if (this.#snapshots.has(key)) return snapshot;
		this.#snapshots.set(key, chainIds);
		this.#layers.retain(chainIds);
		try {
			await mkdir(dir, {mode: 0o711});
			await Promise.all([
				mkdir(snapshot.upperDir, {mode: 0o755}),
				mkdir(snapshot.workDir, {mode: 0o700}),
				writeFile(join(dir, 'snapshot.json'), JSON.stringify({version: 1, chainIds}), {mode: 0o600}),
			]);
			await dressRoot(snapshot.upperDir, this.#layers.rootLook(chainIds), owner);
			this.#count(key, EMPTY);
			return snapshot;
		} catch (error) {
			await this.remove(key);
			throw error;
		}
	}

	/** @returns the layers that it kept, for collection. */
	async remove(key: string): Promise<readonly string[]> {
		const chainIds = this.#snapshots.get(key);
		if (chainIds === undefined) return [];
		const gone = join(this.#dir, `gone-${randomBytes(6).toString('hex')}`);
		try {
			await rename(join(this.#dir, key), gone);
			await this.#kernel.removeTree(gone);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
		}
		this.#snapshots.delete(key);
		this.#uncount(key);
		this.#layers.release(chainIds);
		return chainIds;
	}

	keys(): readonly string[] {
		return [...this.#snapshots.keys()];
	}

	/** Walked at most every ten seconds per writable layer; counting by project quota comes with the containers issue. */
	async usage(key: string): Promise<Usage | null> {
		if (!this.#snapshots.has(key)) return null;
		const known = this.#usage.get(key);
		if (known !== undefined && this.#parts.clock.monotonicMs() - known.atMs < USAGE_MAX_AGE_MS) return known.usage;
		const usage = await this.#kernel.treeUsage(join(this.#dir, key, 'upper'));
		if (this.#snapshots.has(key)) this.#count(key, usage);
		return usage;
	}

	/** Sums are kept, not made. What containers wrote since is counted behind the call, one writable layer after the other. */
	totalUsage(): Usage {
		const due = this.#parts.clock.monotonicMs() - this.#sweptAtMs >= SWEEP_INTERVAL_MS;
		if (due && this.#sweep === null && !this.#closed) {
			const sweep = this.#countAll().finally(() => {
				this.#sweep = null;
			});
			this.#sweep = sweep;
		}
		return {...this.#total};
	}

	features(): readonly SnapshotFeature[] {
		return this.#parts.features;
	}

	async close(): Promise<void> {
		this.#closed = true;
		await this.#sweep;
	}

	async #countAll(): Promise<void> {
		for (const key of [...this.#snapshots.keys()]) {
			if (this.#closed) break;
			try {
				await this.usage(key);
			} catch (error) {
				this.#parts.log.warn({key, err: error}, 'writable layer not counted');
			}
		}
		this.#sweptAtMs = this.#parts.clock.monotonicMs();
	}

	#count(key: string, usage: Usage): void {
		const before = this.#usage.get(key)?.usage;
		this.#total.bytes += usage.bytes - (before?.bytes ?? 0);
		this.#total.inodes += usage.inodes - (before?.inodes ?? 0);
		const atMs = usage === EMPTY ? Number.NEGATIVE_INFINITY : this.#parts.clock.monotonicMs();
		this.#usage.set(key, {atMs, usage});
	}

	#uncount(key: string): void {
		const usage = this.#usage.get(key)?.usage;
		if (usage === undefined) return;
		this.#total.bytes -= usage.bytes;
		this.#total.inodes -= usage.inodes;
		this.#usage.delete(key);
	}
}

/** The container's root directory is the upper one, and is to look like the image's. The layers below are id-mapped when they are mounted: nothing in them is chowned. */
async function dressRoot(upperDir: string, {mode, uid, gid}: RootLook, owner: Owner | null): Promise<void> {
	if (owner !== null) await chown(upperDir, owner.uid, owner.gid);
	else if (uid !== 0 || gid !== 0) await chown(upperDir, uid, gid);
	if (mode !== 0o755) await chmod(upperDir, mode);
}

async function readChainIds(dir: string): Promise<readonly string[] | null> {
	try {
		const {chainIds} = JSON.parse(await readFile(join(dir, 'snapshot.json'), 'utf8')) as {readonly chainIds: unknown};
		return Array.isArray(chainIds) && chainIds.every(id => typeof id === 'string') ? chainIds : null;
	} catch {
		return null;
	}
}
