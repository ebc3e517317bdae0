import {InvalidArgumentError} from '../../base/errors.js';
import type {LinuxContainerResources__Output} from '../../proto/cri.js';
import type {ResourceFacts} from '../sandbox/record.js';
import {toCpuBandwidth, toCpuset, toCpuShares} from './cpu.js';
import {toHugepageLimits} from './hugepages.js';
import {toMemoryLimits} from './memory.js';

/** Nothing specified. */
export const NO_RESOURCES: ResourceFacts = {
	cpuPeriodUs: 0n,
	cpuQuotaUs: 0n,
	cpuShares: 0n,
	memoryLimitBytes: 0n,
	memorySwapLimitBytes: 0n,
	oomScoreAdj: 0,
	cpusetCpus: '',
	cpusetMems: '',
	hugepageLimits: [],
	unified: {},
};

/** As asked, not checked: see assertResources. */
export function toResourceFacts(resources: LinuxContainerResources__Output | null): ResourceFacts {
	if (resources === null) return NO_RESOURCES;
	return {
		cpuPeriodUs: BigInt(resources.cpu_period),
		cpuQuotaUs: BigInt(resources.cpu_quota),
		cpuShares: BigInt(resources.cpu_shares),
		memoryLimitBytes: BigInt(resources.memory_limit_in_bytes),
		memorySwapLimitBytes: BigInt(resources.memory_swap_limit_in_bytes),
		oomScoreAdj: Number(resources.oom_score_adj),
		cpusetCpus: resources.cpuset_cpus,
		cpusetMems: resources.cpuset_mems,
		hugepageLimits: resources.hugepage_limits.map(({page_size, limit}) => ({pageSize: page_size, limitBytes: BigInt(limit)})),
		unified: resources.unified,
	};
}

/** @throws {InvalidArgumentError} naming the first field that is out of range, and its rule. */
export function assertResources(resources: ResourceFacts): void {
	toCpuBandwidth(resources.cpuQuotaUs, resources.cpuPeriodUs);
	toCpuShares(resources.cpuShares);
	toMemoryLimits(resources.memoryLimitBytes, resources.memorySwapLimitBytes);
	toCpuset('cpuset_cpus', resources.cpusetCpus);
	toCpuset('cpuset_mems', resources.cpusetMems);
	toHugepageLimits(resources.hugepageLimits);
	if (resources.oomScoreAdj < -1000 || resources.oomScoreAdj > 1000)
		throw new InvalidArgumentError(`oom_score_adj ${resources.oomScoreAdj} is not in -1000..1000`, {field: 'oom_score_adj'});
	for (const [file, value] of Object.entries(resources.unified)) assertUnified(file, value);
}

/** A key becomes a file name in the container's cgroup: "memory.high", and nothing that leads elsewhere or moves processes. */
function assertUnified(file: string, value: string): void {
	if (!/^[a-z][a-z_]*(\.[\w-]+)+$/.test(file) || file.startsWith('cgroup.'))
		throw new InvalidArgumentError(`unified key "${file}" is not a controller's file like memory.high`, {field: 'unified'});
	if (value.includes('\0')) throw new InvalidArgumentError(`unified value of ${file} holds a NUL byte`, {field: 'unified'});
}
