import type {ResourceFacts} from '../sandbox/record.js';

/**
 * What an update leaves: 0, '' and the empty list mean "not specified" in api.proto and change nothing.
 *
 * @see api.proto, LinuxContainerResources; both peers merge in the same way.
 */
export function mergeResources(before: ResourceFacts, changes: ResourceFacts): ResourceFacts {
	return {
		cpuPeriodUs: changes.cpuPeriodUs || before.cpuPeriodUs,
		cpuQuotaUs: changes.cpuQuotaUs || before.cpuQuotaUs,
		cpuShares: changes.cpuShares || before.cpuShares,
		memoryLimitBytes: changes.memoryLimitBytes || before.memoryLimitBytes,
		memorySwapLimitBytes: changes.memorySwapLimitBytes || before.memorySwapLimitBytes,
		oomScoreAdj: changes.oomScoreAdj || before.oomScoreAdj,
		cpusetCpus: changes.cpusetCpus || before.cpusetCpus,
		cpusetMems: changes.cpusetMems || before.cpusetMems,
		hugepageLimits: mergeHugepages(before.hugepageLimits, changes.hugepageLimits),
		unified: {...before.unified, ...changes.unified},
	};
}

/** Of the merged facts those that an update has to write: what it names, and what belongs to it (a quota has a period, memory its swap). */
export function toChanged(merged: ResourceFacts, changes: ResourceFacts): ResourceFacts {
	const bandwidth = changes.cpuPeriodUs !== 0n || changes.cpuQuotaUs !== 0n;
	const memory = changes.memoryLimitBytes !== 0n || changes.memorySwapLimitBytes !== 0n;
	return {
		...changes,
		cpuPeriodUs: bandwidth ? merged.cpuPeriodUs : 0n,
		cpuQuotaUs: bandwidth ? merged.cpuQuotaUs : 0n,
		memoryLimitBytes: memory ? merged.memoryLimitBytes : 0n,
		memorySwapLimitBytes: memory ? merged.memorySwapLimitBytes : 0n,
	};
}

/** A pod's own cgroup: what its containers ask for and what the pod itself costs (RuntimeClass, overhead). A limit that is not there stays so. */
export function sumResources(resources: ResourceFacts, overhead: ResourceFacts): ResourceFacts {
	const periodUs = resources.cpuPeriodUs || overhead.cpuPeriodUs || 100_000n;
	const overheadQuotaUs = overhead.cpuQuotaUs > 0n ? (overhead.cpuQuotaUs * periodUs) / (overhead.cpuPeriodUs || 100_000n) : 0n;
	const sum = (limit: bigint, more: bigint): bigint => (limit > 0n && more > 0n ? limit + more : limit);
	return {
		...resources,
		cpuShares: resources.cpuShares + overhead.cpuShares,
		cpuPeriodUs: resources.cpuPeriodUs,
		cpuQuotaUs: sum(resources.cpuQuotaUs, overheadQuotaUs),
		memoryLimitBytes: sum(resources.memoryLimitBytes, overhead.memoryLimitBytes),
		memorySwapLimitBytes: sum(resources.memorySwapLimitBytes, overhead.memorySwapLimitBytes || overhead.memoryLimitBytes),
		hugepageLimits: resources.hugepageLimits.map(({pageSize, limitBytes}) => ({
			pageSize,
			limitBytes: limitBytes + (overhead.hugepageLimits.find(other => other.pageSize === pageSize)?.limitBytes ?? 0n),
		})),
	};
}

function mergeHugepages(before: ResourceFacts['hugepageLimits'], changes: ResourceFacts['hugepageLimits']): ResourceFacts['hugepageLimits'] {
	const named = new Set(changes.map(({pageSize}) => pageSize));
	return [...before.filter(({pageSize}) => !named.has(pageSize)), ...changes];
}
