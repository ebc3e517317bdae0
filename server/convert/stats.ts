import type {ContainerStats, UInt64Value} from '../../proto/cri.js';
import type {ContainerRecord} from '../../runtime/container/record.js';
import type {ContainerStatsFacts} from '../../runtime/stats/facts.js';

/** What the kernel does not say is absent, not 0: the kubelet tells the two apart. */
export function toContainerStats(record: ContainerRecord, facts: ContainerStatsFacts): ContainerStats {
	const timestamp = String(facts.timestampNs);
	const {cpu, memory, swap, writableLayer} = facts;
	return {
		attributes: {id: record.id, metadata: record.metadata, labels: record.labels, annotations: record.annotations},
		cpu: cpu && {timestamp, usage_core_nano_seconds: toValue(cpu.usageCoreNs), usage_nano_cores: toValue(cpu.usageNanoCores)},
		memory: memory && {
			timestamp,
			working_set_bytes: toValue(memory.workingSetBytes),
			available_bytes: toValue(memory.availableBytes),
			usage_bytes: toValue(memory.usageBytes),
			rss_bytes: toValue(memory.rssBytes),
			page_faults: toValue(memory.pageFaults),
			major_page_faults: toValue(memory.majorPageFaults),
		},
		swap: swap && {timestamp, swap_usage_bytes: toValue(swap.usageBytes), swap_available_bytes: toValue(swap.availableBytes)},
		writable_layer: writableLayer && {
			timestamp,
			fs_id: {mountpoint: writableLayer.mountpoint},
			used_bytes: toValue(writableLayer.usedBytes),
			inodes_used: toValue(writableLayer.inodesUsed),
		},
	};
}

function toValue(number: bigint | null): UInt64Value | null {
	return number === null ? null : {value: String(number)};
}
