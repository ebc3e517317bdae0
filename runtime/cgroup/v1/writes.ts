import {join} from 'node:path';
import {InvalidArgumentError} from '../../../base/errors.js';
import type {CgroupWrite} from '../../../native/native.js';
import type {ResourceFacts} from '../../sandbox/record.js';
import {toCpuBandwidth, toCpuset, toCpuShares} from '../cpu.js';
import {toDeviceLine, type DeviceRules} from '../device-rules.js';
import {v1Dir, type CgroupHierarchies} from '../hierarchies.js';
import {toHugepageLimits} from '../hugepages.js';
import {toMemoryLimits} from '../memory.js';

/**
 * Limits of a new cgroup on v1 hierarchies, in the order in which a fresh directory takes them.
 *
 * @throws {InvalidArgumentError} out of range, or a controller is asked for that is not mounted.
 */
export function toV1Writes(hierarchies: CgroupHierarchies, cgroupPath: string, resources: ResourceFacts): CgroupWrite[] {
	const file = (controller: string, name: string, value: string | bigint, required = true): CgroupWrite[] => {
		const dir = v1Dir(hierarchies, controller, cgroupPath);
		if (dir !== null) return [{path: join(dir, name), value: String(value), required}];
		if (required) throw new InvalidArgumentError(`${name} is asked for, but the ${controller} controller is not mounted`, {controller});
		return [];
	};
	const shares = toCpuShares(resources.cpuShares);
	const bandwidth = toCpuBandwidth(resources.cpuQuotaUs, resources.cpuPeriodUs);
	const memory = toMemoryLimits(resources.memoryLimitBytes, resources.memorySwapLimitBytes);
	const cpus = toCpuset('cpuset_cpus', resources.cpusetCpus);
	const mems = toCpuset('cpuset_mems', resources.cpusetMems);
	return [
		...(shares === null ? [] : file('cpu', 'cpu.shares', shares)),
		// The period first: the quota is checked against it and against the parent's ratio.
		...(bandwidth === null ? [] : [...file('cpu', 'cpu.cfs_period_us', bandwidth.periodUs), ...file('cpu', 'cpu.cfs_quota_us', bandwidth.quotaUs ?? -1n)]),
		// memsw must never be below the limit, so the limit goes first in a fresh directory. The file is missing where swap is not accounted.
		...(memory === null
			? []
			: [...file('memory', 'memory.limit_in_bytes', memory.limitBytes), ...file('memory', 'memory.memsw.limit_in_bytes', memory.memoryAndSwapBytes, false)]),
		...(cpus === null ? [] : file('cpuset', 'cpuset.cpus', cpus)),
		...(mems === null ? [] : file('cpuset', 'cpuset.mems', mems)),
		// Not required: the kubelet names every page size of the node, also where the kernel has no hugetlb controller.
		...toHugepageLimits(resources.hugepageLimits).flatMap(({pageSize, limitBytes}) => file('hugetlb', `hugetlb.${pageSize}.limit_in_bytes`, limitBytes, false)),
		...Object.entries(resources.unified).flatMap(([name, value]) => file('pids', assertAlsoV1(name), value)),
	];
}

/** pids.max has the same name and form in v1 and v2; of all other keys v1 has no equal. */
function assertAlsoV1(name: string): string {
	if (name !== 'pids.max') throw new InvalidArgumentError(`unified key "${name}" needs cgroup v2`, {field: 'unified'});
	return name;
}

/** Denies everything, then allows the list; nothing for `all`. One rule per write (devices.rst). */
export function toV1DeviceWrites(hierarchies: CgroupHierarchies, cgroupPath: string, devices: DeviceRules): CgroupWrite[] {
	const dir = v1Dir(hierarchies, 'devices', cgroupPath);
	if (dir === null || devices === 'all') return [];
	return [
		{path: join(dir, 'devices.deny'), value: 'a', required: true},
		...devices.map((rule): CgroupWrite => ({path: join(dir, 'devices.allow'), value: toDeviceLine(rule), required: true})),
	];
}
