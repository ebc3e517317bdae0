import type {CountedUsage} from '../../image/image.js';
import type {ContainerRecord} from '../container/record.js';
import type {Runtime} from '../runtime.js';
import {addCgroup, type ReadTime} from './cgroup-stats.js';
import type {ContainerStatsFacts, WritableLayerFacts} from './facts.js';
import {FilePass} from './file-pass.js';

export type {ContainerStatsFacts} from './facts.js';
export {CpuSamples} from './cpu-samples.js';

/** What of the runtime reading statistics needs. */
export type StatsParts = Pick<Runtime, 'kernel' | 'cgroups' | 'images' | 'clock' | 'cpuSamples' | 'log'>;

/**
 * Statistics of containers, in their order: one pass over their cgroups' files for all of them, and what their writable layers hold.
 * What a container does not have any more is null; no container fails the others.
 */
export async function readContainerStats(runtime: StatsParts, records: readonly ContainerRecord[]): Promise<readonly ContainerStatsFacts[]> {
	const pass = new FilePass();
	const reads = records.map(record => addContainer(pass, runtime, record));
	const collected = await runPass(runtime, pass, records);
	return reads.map(read => read(collected));
}

/** A container that was listed as alive and has no cgroup any more ended meanwhile. */
export function hasVanished(record: ContainerRecord, facts: ContainerStatsFacts): boolean {
	return record.state.phase !== 'exited' && facts.cpu === null && facts.memory === null;
}

/** What a pass found besides the files. */
export interface Collected extends ReadTime {
	readonly mountpoint: string;
	/** By container id; a layer that could not be counted is missing. */
	readonly layers: ReadonlyMap<string, CountedUsage>;
}

/** Asks for what the statistics of one container need. @returns what to call after the pass. */
export function addContainer(pass: FilePass, runtime: StatsParts, record: ContainerRecord): (collected: Collected) => ContainerStatsFacts {
	const target = {hierarchies: runtime.cgroups, cgroupPath: record.cgroupPath};
	const cgroup = addCgroup(pass, target, record.id);
	return collected => ({
		containerId: record.id,
		timestampNs: collected.atNs,
		...cgroup(runtime.cpuSamples, collected),
		writableLayer: toWritableLayer(collected, record.id),
	});
}

/** Reads all files of the pass, and what the writable layers of `records` hold. */
export async function runPass(runtime: StatsParts, pass: FilePass, records: readonly ContainerRecord[]): Promise<Collected> {
	const readAll = pass.run(runtime.kernel).then(() => ({atNs: runtime.clock.nowNs(), atMs: runtime.clock.monotonicMs()}));
	const [time, layers] = await Promise.all([readAll, findUsages(runtime, records)]);
	return {...time, layers, mountpoint: runtime.images.fsInfo().containerFs.mountpoint};
}

/** A failure is logged: it must not blind the kubelet to all the rest. */
async function findUsages(runtime: Pick<Runtime, 'images' | 'log'>, records: readonly ContainerRecord[]): Promise<ReadonlyMap<string, CountedUsage>> {
	try {
		return await runtime.images.snapshotUsages(records.map(({id}) => id));
	} catch (error) {
		runtime.log.warn({err: error}, 'usage of writable layers not known');
		return new Map();
	}
}

/** null: not known yet, or it has none. */
export function toWritableLayer({mountpoint, layers}: Collected, containerId: string): WritableLayerFacts | null {
	const usage = layers.get(containerId);
	return usage === undefined ? null : {mountpoint, usedBytes: BigInt(usage.bytes), inodesUsed: BigInt(usage.inodes), timestampNs: usage.countedAtNs};
}
