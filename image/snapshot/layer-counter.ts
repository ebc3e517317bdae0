import type {Logger} from '../../base/log.js';
import type {Clock} from '../../base/clock.js';
import type {Kernel, TreeCount} from '../../native/native.js';
import type {CountedUsage, Usage} from '../image.js';

/** A writable layer that somebody asks for is counted anew when its count is so old. */
const MAX_AGE_MS = 10_000;
/** The same where the filesystem counts: to find what a container took out of its project. */
const AUDIT_AGE_MS = 600_000;
/** What nobody asked for so long is not counted. */
const WANTED_MS = 60_000;
/** Entries that are looked at in one go: some ms of a worker. */
const STEP_ENTRIES = 2000;
/** Between two steps, so many times what the step took: at most a tenth of one core and of one disk's time, however much there is to count. */
const PAUSE_FACTOR = 9;
const MIN_PAUSE_MS = 1;
/** What diff/ and work/ themselves take. */
const EMPTY: Usage = {bytes: 8192, inodes: 2};
const NOTHING: Usage = {bytes: 0, inodes: 0};

export interface LayerCounterParts {
	/** A directory of the filesystem that holds all writable layers. */
	readonly dir: string;
	readonly kernel: Pick<Kernel, 'openTreeMeter' | 'projectUsages'>;
	readonly clock: Clock;
	readonly log: Logger;
}

interface Counted {
	/** Of the writable layer's files. */
	readonly path: string;
	/** null: the filesystem does not count it. */
	readonly projectId: number | null;
	/** As last known; null: of an earlier daemon, and not counted yet. */
	usage: CountedUsage | null;
	/** By the filesystem, less than a walk found: files that a container gave to another project, which its root may (ioctl_fssetxattr). */
	outside: Usage;
	walkedAtMs: number;
	wantedAtMs: number;
	present: boolean;
}

/**
 * What each writable layer takes, without work in the call that grows with what is in it: by the filesystem's own project quota where it has one, else by
 * a count behind the calls, oldest first, at a bounded pace, whose time is told with it.
 */
export class LayerCounter {
	readonly #parts: LayerCounterParts;
	/** Longest since walked first. */
	readonly #layers = new Map<string, Counted>();
	readonly #total = {bytes: 0, inodes: 0};
	readonly #closing = new AbortController();
	#walking: Promise<void> | null = null;

	constructor(parts: LayerCounterParts) {
		this.#parts = parts;
	}

	/** @param isNew it is empty; what one of an earlier daemon holds is not known until it is counted, once somebody asks. */
	add(key: string, {path, projectId}: {readonly path: string; readonly projectId: number | null}, isNew: boolean): void {
		const never = Number.NEGATIVE_INFINITY;
		const layer: Counted = {path, projectId, usage: null, outside: NOTHING, walkedAtMs: never, wantedAtMs: never, present: true};
		this.#layers.set(key, layer);
		if (isNew) this.#setUsage(layer, EMPTY, this.#parts.clock.nowNs());
	}

	remove(key: string): void {
		const layer = this.#layers.get(key);
		if (layer === undefined) return;
		this.#layers.delete(key);
		layer.present = false;
		this.#addToTotal(layer.usage, -1);
	}

	/** By key; what is not known is missing. */
	async usages(keys: readonly string[]): Promise<ReadonlyMap<string, CountedUsage>> {
		const layers = keys.flatMap(key => {
			const layer = this.#layers.get(key);
			return layer === undefined ? [] : [{key, layer}];
		});
		this.#want(layers.map(({layer}) => layer));
		try {
			await this.#readProjects(layers.map(({layer}) => layer));
		} catch (error) {
			// The counts before stand, with their time.
			this.#parts.log.warn({err: error}, 'project quotas not read');
		}
		return new Map(layers.flatMap(({key, layer}) => (layer.usage === null ? [] : [[key, layer.usage]])));
	}

	/** Of all layers as last known; the sum is kept, not made. */
	total(): Usage {
		this.#want(this.#layers.values());
		return {...this.#total};
	}

	/** Ends the count that is under way. */
	async close(): Promise<void> {
		this.#closing.abort();
		await this.#walking;
	}

	#want(layers: Iterable<Counted>): void {
		const nowMs = this.#parts.clock.monotonicMs();
		for (const layer of layers) layer.wantedAtMs = nowMs;
		if (this.#walking !== null || this.#closing.signal.aborted) return;
		const walking = this.#walkDue().finally(() => {
			this.#walking = null;
		});
		this.#walking = walking;
	}

	/** The filesystem's own counts, all in one native call. */
	async #readProjects(layers: readonly Counted[]): Promise<void> {
		const counted = layers.filter(({projectId}) => projectId !== null);
		if (counted.length === 0) return;
		const usages = await this.#parts.kernel.projectUsages(
			this.#parts.dir,
			counted.map(({projectId}) => projectId ?? 0),
		);
		const countedAtNs = this.#parts.clock.nowNs();
		for (const [index, layer] of counted.entries()) this.#setUsage(layer, add(usages[index] ?? NOTHING, layer.outside), countedAtNs);
	}

	async #walkDue(): Promise<void> {
		for (let due = this.#nextDue(); due !== null; due = this.#nextDue()) {
			const [key, layer] = due;
			layer.walkedAtMs = this.#parts.clock.monotonicMs();
			// Now the one that was walked last.
			this.#layers.delete(key);
			this.#layers.set(key, layer);
			try {
				await this.#walk(layer);
			} catch (error) {
				// The count before stands, with its time.
				this.#parts.log.warn({key, err: error}, 'writable layer not counted');
				await this.#pause(MIN_PAUSE_MS);
			}
		}
	}

	#nextDue(): [string, Counted] | null {
		if (this.#closing.signal.aborted) return null;
		const nowMs = this.#parts.clock.monotonicMs();
		for (const [key, layer] of this.#layers) {
			const ageMs = nowMs - layer.walkedAtMs;
			if (ageMs < MAX_AGE_MS) return null;
			if (nowMs - layer.wantedAtMs <= WANTED_MS && ageMs >= (layer.projectId === null ? MAX_AGE_MS : AUDIT_AGE_MS)) return [key, layer];
		}
		return null;
	}

	async #walk(layer: Counted): Promise<void> {
		const countedAtNs = this.#parts.clock.nowNs();
		const meter = this.#parts.kernel.openTreeMeter(layer.path);
		let count: TreeCount;
		do {
			const startMs = this.#parts.clock.monotonicMs();
			count = await meter.step(STEP_ENTRIES);
			await this.#pause(Math.max(MIN_PAUSE_MS, (this.#parts.clock.monotonicMs() - startMs) * PAUSE_FACTOR));
			if (this.#closing.signal.aborted || !layer.present) return;
		} while (!count.done);
		if (layer.projectId === null) this.#setUsage(layer, count, countedAtNs);
		else await this.#audit(layer, layer.projectId, count);
	}

	async #audit(layer: Counted, projectId: number, walked: Usage): Promise<void> {
		const [quota = NOTHING] = await this.#parts.kernel.projectUsages(this.#parts.dir, [projectId]);
		layer.outside = {bytes: Math.max(0, walked.bytes - quota.bytes), inodes: Math.max(0, walked.inodes - quota.inodes)};
		if (layer.outside.bytes > 0) this.#parts.log.info({path: layer.path, ...layer.outside}, 'a writable layer has files of another project');
	}

	#setUsage(layer: Counted, {bytes, inodes}: Usage, countedAtNs: bigint): void {
		if (!layer.present) return;
		this.#addToTotal(layer.usage, -1);
		layer.usage = {bytes, inodes, countedAtNs};
		this.#addToTotal(layer.usage, 1);
	}

	#addToTotal(usage: Usage | null, sign: 1 | -1): void {
		if (usage === null) return;
		this.#total.bytes += sign * usage.bytes;
		this.#total.inodes += sign * usage.inodes;
	}

	async #pause(ms: number): Promise<void> {
		await this.#parts.clock.sleep(ms, this.#closing.signal);
	}
}

function add(a: Usage, b: Usage): Usage {
	return {bytes: a.bytes + b.bytes, inodes: a.inodes + b.inodes};
}
