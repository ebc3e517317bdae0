import {join} from 'node:path';
import type {Usage} from '../../image/image.js';
import {v1Dir, type CgroupHierarchies} from '../cgroup/hierarchies.js';
import type {ContainerRecord} from '../container/record.js';
import type {Runtime} from '../runtime.js';
import type {ContainerStatsFacts} from './facts.js';
import {parseCpuUsage, parseMemory, parseNumber, parseSwap} from './parse.js';

export type {ContainerStatsFacts} from './facts.js';
export {CpuSamples} from './cpu-samples.js';

/**
 * Statistics of containers: one pass over their cgroups' files for all of them, and what their writable layers hold.
 * What a container does not have any more is null; no container fails the others.
 */
export async function readContainerStats(
	runtime: Pick<Runtime, 'kernel' | 'cgroups' | 'images' | 'clock' | 'cpuSamples' | 'log'>,
	records: readonly ContainerRecord[],
): Promise<readonly ContainerStatsFacts[]> {
	const mode = runtime.cgroups.mode === 'v2' ? 'v2' : 'v1';
	const paths = records.flatMap(({cgroupPath}) => toPaths(runtime.cgroups, cgroupPath));
	const readAll = runtime.kernel.readFiles(paths).then(files => ({files, atNs: runtime.clock.nowNs()}));
	const [{files, atNs}, usages] = await Promise.all([readAll, Promise.all(records.map(({id}) => findUsage(runtime, id)))]);
	const {mountpoint} = runtime.images.fsInfo().containerFs;
	return records.map(({id}, index): ContainerStatsFacts => {
		const [cpu, usage, stat, limit, swapLimit, swapUsage, pids] = files.slice(index * FILES, (index + 1) * FILES).map(toText);
		const memoryFiles = {usage: usage ?? null, stat: stat ?? null, limit: limit ?? null, swapLimit: swapLimit ?? null, swapUsage: swapUsage ?? null};
		const usageCoreNs = parseCpuUsage(mode, cpu ?? null);
		return {
			containerId: id,
			timestampNs: atNs,
			cpu: usageCoreNs === null ? null : {usageCoreNs, usageNanoCores: runtime.cpuSamples.take(id, usageCoreNs, atNs)},
			memory: parseMemory(mode, memoryFiles),
			swap: parseSwap(mode, memoryFiles),
			pids: parseNumber(pids ?? null),
			writableLayer: toWritableLayer(mountpoint, usages[index] ?? null),
		};
	});
}

/** null too when it cannot be counted, which is logged: one broken layer must not blind the kubelet to all others. */
async function findUsage(runtime: Pick<Runtime, 'images' | 'log'>, containerId: string): Promise<Usage | null> {
	try {
		return await runtime.images.snapshotUsage(containerId);
	} catch (error) {
		runtime.log.warn({err: error, containerId}, 'usage of the writable layer not known');
		return null;
	}
}

/** How many files toPaths gives. */
const FILES = 7;

/** In the order in which they are taken apart above. A path of a hierarchy that is not mounted is '', which cannot be read. */
function toPaths(hierarchies: CgroupHierarchies, cgroupPath: string): string[] {
	if (hierarchies.mode === 'v2' && hierarchies.unified !== null) {
		const dir = join(hierarchies.unified.mountpoint, cgroupPath);
		return ['cpu.stat', 'memory.current', 'memory.stat', 'memory.max', 'memory.swap.max', 'memory.swap.current', 'pids.current'].map(name => join(dir, name));
	}
	const file = (controller: string, name: string): string => {
		const dir = v1Dir(hierarchies, controller, cgroupPath);
		return dir === null ? '' : join(dir, name);
	};
	return [
		file('cpuacct', 'cpuacct.usage'),
		file('memory', 'memory.usage_in_bytes'),
		file('memory', 'memory.stat'),
		file('memory', 'memory.limit_in_bytes'),
		file('memory', 'memory.memsw.limit_in_bytes'),
		'',
		file('pids', 'pids.current'),
	];
}

function toText(content: Uint8Array | null): string | null {
	return content === null ? null : Buffer.from(content).toString('latin1');
}

function toWritableLayer(mountpoint: string, usage: Usage | null): ContainerStatsFacts['writableLayer'] {
	return usage === null ? null : {mountpoint, usedBytes: BigInt(usage.bytes), inodesUsed: BigInt(usage.inodes)};
}
