import type {LinuxContainerResources} from '../../proto/cri.js';
import type {ResourceFacts} from '../../runtime/sandbox/record.js';

export function toLinuxContainerResources(facts: ResourceFacts): LinuxContainerResources {
	return {
		cpu_period: String(facts.cpuPeriodUs),
		cpu_quota: String(facts.cpuQuotaUs),
		cpu_shares: String(facts.cpuShares),
		memory_limit_in_bytes: String(facts.memoryLimitBytes),
		memory_swap_limit_in_bytes: String(facts.memorySwapLimitBytes),
		oom_score_adj: facts.oomScoreAdj,
		cpuset_cpus: facts.cpusetCpus,
		cpuset_mems: facts.cpusetMems,
		hugepage_limits: facts.hugepageLimits.map(({pageSize, limitBytes}) => ({page_size: pageSize, limit: String(limitBytes)})),
		unified: facts.unified,
	};
}
