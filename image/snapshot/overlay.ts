import {randomBytes} from 'node:crypto';
import {chmod, mkdir, readdir, readFile, rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Logger} from '../../base/log.js';
import type {Kernel} from '../../native/native.js';
import type {Clock} from '../../base/clock.js';
import type {CountedUsage, Snapshot, SnapshotFeature, SnapshotUse, Usage} from '../image.js';
import type {LayerStore} from '../layer/layer-store.js';
import {LayerCounter} from './layer-counter.js';
import {openProjectQuota, type ProjectQuota} from './project-quota.js';
import type {Snapshotter} from './snapshotter.js';

export interface OverlayParts {
	readonly rootDir: string;
	readonly kernel: Kernel;
	readonly layers: LayerStore;
	readonly features: readonly SnapshotFeature[];
	readonly clock: Clock;
	readonly log: Logger;
}

/** Writable layers for overlay: containers/<key>/{diff,work}; cAdvisor, when it takes us for CRI-O, measures "diff". The mount itself is made by the container's init, in its own mount namespace. */
export class OverlaySnapshots implements Snapshotter {
	readonly #dir: string;
	readonly #mountPoints: string;
	readonly #parts: OverlayParts;
	readonly #kernel: Kernel;
	readonly #layers: LayerStore;
	readonly #counter: LayerCounter;
	readonly #quota: ProjectQuota | null;
	readonly #features: readonly SnapshotFeature[];
	readonly #snapshots = new Map<string, SnapshotRecord>();

	private constructor(parts: OverlayParts, dir: string, {quota, feature}: Awaited<ReturnType<typeof openProjectQuota>>) {
		this.#dir = dir;
		this.#mountPoints = join(parts.rootDir, 'mount-points');
		this.#parts = parts;
		this.#kernel = parts.kernel;
		this.#layers = parts.layers;
		this.#quota = quota;
		this.#features = [...parts.features, feature];
		this.#counter = new LayerCounter({dir, kernel: parts.kernel, clock: parts.clock, log: parts.log});
	}

	/** Half-made snapshots go. */
	static async open(parts: OverlayParts): Promise<OverlaySnapshots> {
		const {kernel, layers, log} = parts;
		const dir = join(parts.rootDir, 'containers');
		await mkdir(dir, {recursive: true});
		const snapshots = new OverlaySnapshots(parts, dir, await openProjectQuota(dir, kernel));
		// As with layers: what a container's root made setuid is not for the machine's users.
		await chmod(snapshots.#dir, 0o700);
		await makeMountPoints(snapshots.#mountPoints);
		for (const key of await readdir(snapshots.#dir)) {
			const record = await readRecord(join(snapshots.#dir, key));
			if (record === null) {
				log.warn({key}, 'half-made snapshot removed');
				await kernel.removeTree(join(snapshots.#dir, key));
				continue;
			}
			layers.retain(record.chainIds);
			if (record.projectId !== null) snapshots.#quota?.take(record.projectId);
			snapshots.#show(key, record, false);
		}
		return snapshots;
	}

	async prepare(key: string, chainIds: readonly string[], {owner, isRoot}: SnapshotUse): Promise<Snapshot> {
		const dir = join(this.#dir, key);
		const known = this.#snapshots.get(key);
		const layers = this.#layers.lowerDirs(chainIds);
		const lowerDirs = isRoot ? [...layers, this.#mountPoints] : layers;
		const snapshot = {lowerDirs, upperDir: join(dir, known?.upper ?? UPPER), workDir: join(dir, 'work')};
		if (known !== undefined) return snapshot;
		this.#snapshots.set(key, {chainIds, projectId: null, upper: UPPER});
		this.#layers.retain(chainIds);
		try {
			// The container's root directory is the upper one, and is to look like the image's. The layers below are id-mapped when they are mounted: nothing in them is chowned.
			const look = {...this.#layers.rootLook(chainIds), ...owner};
			if (this.#quota === null) {
				const record = {chainIds, projectId: null, upper: UPPER};
				await this.#kernel.makeLayer(dir, look, toText(record));
				this.#show(key, record, true);
			} else {
				await this.#kernel.makeLayer(dir, look, null);
				const record = {chainIds, projectId: await this.#assignProject(snapshot), upper: UPPER};
				this.#show(key, record, true);
				await writeFile(join(dir, 'snapshot.json'), toText(record), {mode: 0o600});
			}
			return snapshot;
		} catch (error) {
			await this.remove(key);
			throw error;
		}
	}

	/** @returns the layers that it kept, for collection. */
	async remove(key: string): Promise<readonly string[]> {
		const record = this.#snapshots.get(key);
		if (record === undefined) return [];
		const gone = join(this.#dir, `gone-${randomBytes(6).toString('hex')}`);
		try {
			await rename(join(this.#dir, key), gone);
			await this.#kernel.removeTree(gone);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
		}
		this.#snapshots.delete(key);
		this.#counter.remove(key);
		if (record.projectId !== null) this.#quota?.release(record.projectId);
		this.#layers.release(record.chainIds);
		return record.chainIds;
	}

	dirOf(key: string): string {
		return join(this.#dir, key);
	}

	keys(): readonly string[] {
		return [...this.#snapshots.keys()];
	}

	async usages(keys: readonly string[]): Promise<ReadonlyMap<string, CountedUsage>> {
		return await this.#counter.usages(keys);
	}

	totalUsage(): Usage {
		return this.#counter.total();
	}

	features(): readonly SnapshotFeature[] {
		return this.#features;
	}

	async close(): Promise<void> {
		await this.#counter.close();
	}

	#show(key: string, record: SnapshotRecord, isNew: boolean): void {
		this.#snapshots.set(key, record);
		// Without the quota that an earlier daemon had, the layer is walked.
		const projectId = this.#quota === null ? null : record.projectId;
		this.#counter.add(key, {path: join(this.#dir, key, record.upper), projectId}, isNew);
	}

	/** Both, because overlay makes files in one and renames them into the other. null: none; the layer is walked then. */
	async #assignProject({upperDir, workDir}: Snapshot): Promise<number | null> {
		try {
			return (await this.#quota?.assign([upperDir, workDir])) ?? null;
		} catch (error) {
			this.#parts.log.warn({err: error, upperDir}, 'project quota not used for a writable layer');
			return null;
		}
	}
}

/**
 * Below all layers of a container's root: what every container has mounted, should its image not have it. Else its init would make them in each writable layer,
 * which costs more than all its mounts (make bench-start).
 */
const MOUNT_POINTS = {directories: ['dev', 'etc', 'proc', 'sys'], files: ['etc/hostname', 'etc/hosts', 'etc/resolv.conf']};

async function makeMountPoints(dir: string): Promise<void> {
	for (const path of ['', ...MOUNT_POINTS.directories]) await mkdir(join(dir, path), {recursive: true, mode: 0o755});
	for (const path of MOUNT_POINTS.files) await writeFile(join(dir, path), '', {flag: 'a', mode: 0o644});
}

function toText(record: SnapshotRecord): string {
	return JSON.stringify({version: 1, ...record});
}

/** What snapshot.json says of a snapshot. */
interface SnapshotRecord {
	/** Of the layers that it keeps. */
	readonly chainIds: readonly string[];
	/** null: it has none, as those of earlier versions. */
	readonly projectId: number | null;
	/** The directory of its files; "upper" for those of earlier versions. */
	readonly upper: string;
}

const UPPER = 'diff';

async function readRecord(dir: string): Promise<SnapshotRecord | null> {
	try {
		const {
			chainIds,
			projectId = null,
			upper = 'upper',
		} = JSON.parse(await readFile(join(dir, 'snapshot.json'), 'utf8')) as Partial<Record<keyof SnapshotRecord, unknown>>;
		if (!Array.isArray(chainIds) || !chainIds.every(id => typeof id === 'string')) return null;
		return {chainIds, projectId: typeof projectId === 'number' ? projectId : null, upper: upper === UPPER ? UPPER : 'upper'};
	} catch {
		return null;
	}
}
