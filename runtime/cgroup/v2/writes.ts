import {dirname, join} from 'node:path';
import type {CgroupWrite} from '../../../native/native.js';
import type {ResourceFacts} from '../../sandbox/record.js';
import {toCpuBandwidth, toCpuset, toCpuShares, toCpuWeight} from '../cpu.js';
import {toHugepageLimits} from '../hugepages.js';
import {toMemoryLimits} from '../memory.js';
import {isPodScope} from '../systemd/slices.js';

/** Enabled for the children of every ancestor; those that a kernel lacks are passed over. */
const CONTROLLERS = ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb'];

/**
 * Limits of a new cgroup in the unified hierarchy.
 *
 * There is no device list here: v2 has no devices controller, a program filters devices instead (device-program.ts).
 *
 * @throws {InvalidArgumentError} out of range.
 * @see cgroup-v2.rst.
 */
export function toV2Writes(mountpoint: string, cgroupPath: string, resources: ResourceFacts): CgroupWrite[] {
	const dir = join(mountpoint, cgroupPath);
	const file = (name: string, value: string | bigint | number, required = true): CgroupWrite => ({path: join(dir, name), value: String(value), required});
	const shares = toCpuShares(resources.cpuShares);
	const bandwidth = toCpuBandwidth(resources.cpuQuotaUs, resources.cpuPeriodUs);
	const memory = toMemoryLimits(resources.memoryLimitBytes, resources.memorySwapLimitBytes);
	const cpus = toCpuset('cpuset_cpus', resources.cpusetCpus);
	const mems = toCpuset('cpuset_mems', resources.cpusetMems);
	return [
		...(shares === null ? [] : [file('cpu.weight', toCpuWeight(shares))]),
		...(bandwidth === null ? [] : [file('cpu.max', `${bandwidth.quotaUs ?? 'max'} ${bandwidth.periodUs}`)]),
		...(memory === null ? [] : [file('memory.max', orMax(memory.limitBytes)), file('memory.swap.max', toSwapMax(memory), false)]),
		...(cpus === null ? [] : [file('cpuset.cpus', cpus)]),
		...(mems === null ? [] : [file('cpuset.mems', mems)]),
		// Not required: the kubelet names every page size of the node, also where the kernel has no hugetlb controller.
		...toHugepageLimits(resources.hugepageLimits).map(({pageSize, limitBytes}) => file(`hugetlb.${pageSize}.max`, limitBytes, false)),
		...Object.entries(resources.unified).map(([name, value]) => file(name, value)),
	];
}

function orMax(bytes: bigint): string {
	return bytes < 0n ? 'max' : String(bytes);
}

/** v2 counts swap alone, the CRI memory and swap together. */
function toSwapMax({limitBytes, memoryAndSwapBytes}: {readonly limitBytes: bigint; readonly memoryAndSwapBytes: bigint}): string {
	return memoryAndSwapBytes < 0n ? 'max' : String(memoryAndSwapBytes - limitBytes);
}

/** Turns the controllers on in every ancestor, topmost first; a cgroup has only the controllers that its parent gives it. */
export function toSubtreeWrites(mountpoint: string, cgroupPath: string): CgroupWrite[] {
	// Above a scope of ours they are systemd's to give, which it does for what it delegates.
	const all = ancestors(cgroupPath);
	return all
		.slice(Math.max(all.findIndex(isPodScope), 0))
		.flatMap(path =>
			CONTROLLERS.map((controller): CgroupWrite => ({path: join(mountpoint, path, 'cgroup.subtree_control'), value: `+${controller}`, required: false})),
		);
}

/** "/a/b/c" → "/", "/a", "/a/b". */
export function ancestors(cgroupPath: string): string[] {
	const parent = dirname(cgroupPath);
	return parent === cgroupPath ? [] : [...ancestors(parent), parent];
}
