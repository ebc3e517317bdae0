import type {
	ContainerStats,
	CpuUsage,
	FilesystemUsage,
	IoUsage,
	MemoryUsage,
	NetworkInterfaceUsage,
	NetworkUsage,
	PodSandboxStats,
	PsiData,
	PsiStats,
	SwapUsage,
	UInt64Value,
} from '../../proto/cri.js';
import type {ContainerRecord} from '../../runtime/container/record.js';
import type {SandboxRecord} from '../../runtime/sandbox/record.js';
import type {
	CgroupFacts,
	ContainerStatsFacts,
	InterfaceFacts,
	NetworkFacts,
	Psi,
	PsiLine,
	SandboxStatsFacts,
	WritableLayerFacts,
} from '../../runtime/stats/facts.js';

/** What the kernel does not say is absent, not 0: the kubelet tells the two apart. */
export function toContainerStats(record: ContainerRecord, facts: ContainerStatsFacts): ContainerStats {
	const timestamp = String(facts.timestampNs);
	return {
		attributes: {id: record.id, metadata: record.metadata, labels: record.labels, annotations: record.annotations},
		cpu: toCpu(facts, timestamp),
		memory: toMemory(facts, timestamp),
		swap: toSwap(facts, timestamp),
		io: toIo(facts, timestamp),
		writable_layer: facts.writableLayer && toFilesystem(facts.writableLayer),
	};
}

/** @param members the containers' records by id. */
export function toSandboxStats(record: SandboxRecord, facts: SandboxStatsFacts, members: (id: string) => ContainerRecord | null): PodSandboxStats {
	const timestamp = String(facts.timestampNs);
	return {
		attributes: {id: record.id, metadata: record.metadata, labels: record.labels, annotations: record.annotations},
		linux: {
			cpu: toCpu(facts, timestamp),
			memory: toMemory(facts, timestamp),
			network: facts.network && toNetwork(facts.network, timestamp),
			process: facts.pids === null ? null : {timestamp, process_count: toValue(facts.pids)},
			containers: facts.containers.flatMap(container => {
				const member = members(container.containerId);
				return member === null ? [] : [toContainerStats(member, container)];
			}),
			io: toIo(facts, timestamp),
		},
	};
}

function toCpu({cpu, pressure}: CgroupFacts, timestamp: string): CpuUsage | null {
	if (cpu === null) return null;
	return {timestamp, usage_core_nano_seconds: toValue(cpu.usageCoreNs), usage_nano_cores: toValue(cpu.usageNanoCores), psi: toPsi(pressure.cpu)};
}

function toMemory({memory, pressure}: CgroupFacts, timestamp: string): MemoryUsage | null {
	if (memory === null) return null;
	return {
		timestamp,
		working_set_bytes: toValue(memory.workingSetBytes),
		available_bytes: toValue(memory.availableBytes),
		usage_bytes: toValue(memory.usageBytes),
		rss_bytes: toValue(memory.rssBytes),
		page_faults: toValue(memory.pageFaults),
		major_page_faults: toValue(memory.majorPageFaults),
		psi: toPsi(pressure.memory),
	};
}

function toSwap({swap}: CgroupFacts, timestamp: string): SwapUsage | null {
	return swap && {timestamp, swap_usage_bytes: toValue(swap.usageBytes), swap_available_bytes: toValue(swap.availableBytes)};
}

function toIo({pressure}: CgroupFacts, timestamp: string): IoUsage | null {
	return pressure.io && {timestamp, psi: toPsi(pressure.io)};
}

function toPsi(psi: Psi | null): PsiStats | null {
	return psi && {Full: toPsiData(psi.full), Some: toPsiData(psi.some)};
}

function toPsiData({totalNs, avg10, avg60, avg300}: PsiLine): PsiData {
	return {Total: String(totalNs), Avg10: avg10, Avg60: avg60, Avg300: avg300};
}

function toNetwork({defaultInterface, interfaces}: NetworkFacts, timestamp: string): NetworkUsage {
	return {timestamp, default_interface: defaultInterface && toInterface(defaultInterface), interfaces: interfaces.map(toInterface)};
}

function toInterface({name, rx, tx}: InterfaceFacts): NetworkInterfaceUsage {
	return {name, rx_bytes: toValue(rx.bytes), rx_errors: toValue(rx.errors), tx_bytes: toValue(tx.bytes), tx_errors: toValue(tx.errors)};
}

function toFilesystem({timestampNs, mountpoint, usedBytes, inodesUsed}: WritableLayerFacts): FilesystemUsage {
	return {timestamp: String(timestampNs), fs_id: {mountpoint}, used_bytes: toValue(usedBytes), inodes_used: toValue(inodesUsed)};
}

function toValue(number: bigint | null): UInt64Value | null {
	return number === null ? null : {value: String(number)};
}
