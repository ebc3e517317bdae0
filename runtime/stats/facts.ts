/** Statistics of one container. null: the kernel does not say, or the container has no cgroup any more. */
export interface ContainerStatsFacts extends CgroupFacts {
	readonly containerId: string;
	/** When the files were read; nanoseconds since the epoch. */
	readonly timestampNs: bigint;
	readonly writableLayer: WritableLayerFacts | null;
}
/** Statistics of one pod sandbox: of its cgroup, its network, and its containers that are not exited. */
export interface SandboxStatsFacts extends CgroupFacts {
	readonly sandboxId: string;
	readonly timestampNs: bigint;
	/** null on the host's network, and of a pod that is stopped. */
	readonly network: NetworkFacts | null;
	readonly containers: readonly ContainerStatsFacts[];
}
/** What one cgroup's files say. */
export interface CgroupFacts {
	readonly cpu: CpuFacts | null;
	readonly memory: MemoryFacts | null;
	readonly swap: SwapFacts | null;
	/** Processes and threads. */
	readonly pids: bigint | null;
	readonly pressure: PressureFacts;
}
export interface CpuFacts {
	/** Since the start, over all cores. */
	readonly usageCoreNs: bigint;
	/** Per second, over the window of CpuSamples; null until there is one. */
	readonly usageNanoCores: bigint | null;
}
export interface MemoryFacts {
	readonly usageBytes: bigint;
	/** Usage without file pages that can be dropped at once: what the kubelet evicts by. */
	readonly workingSetBytes: bigint;
	/** Limit less working set; null without a limit. */
	readonly availableBytes: bigint | null;
	/** Anonymous memory. */
	readonly rssBytes: bigint;
	/** Minor and major ones. */
	readonly pageFaults: bigint;
	readonly majorPageFaults: bigint;
	/** null: none. */
	readonly limitBytes: bigint | null;
}
export interface SwapFacts {
	readonly usageBytes: bigint;
	/** null without a limit. */
	readonly availableBytes: bigint | null;
}
/** Pressure stall information by resource; null where the kernel has none (psi.rst). */
export interface PressureFacts {
	readonly cpu: Psi | null;
	readonly memory: Psi | null;
	readonly io: Psi | null;
}
export interface Psi {
	/** Some tasks waited. */
	readonly some: PsiLine;
	/** All tasks that were not idle waited. */
	readonly full: PsiLine;
}
export interface PsiLine {
	readonly totalNs: bigint;
	/** Percent of the time of the last 10, 60 and 300 s. */
	readonly avg10: number;
	readonly avg60: number;
	readonly avg300: number;
}
export interface NetworkFacts {
	/** The one that the pod network made; null when the pod has no interface but lo. */
	readonly defaultInterface: InterfaceFacts | null;
	/** All others but lo. */
	readonly interfaces: readonly InterfaceFacts[];
}
/** Counters of one interface since it was made, as the pod sees them. */
export interface InterfaceFacts {
	readonly name: string;
	readonly rx: InterfaceCounters;
	readonly tx: InterfaceCounters;
}
export interface InterfaceCounters {
	readonly bytes: bigint;
	readonly packets: bigint;
	readonly errors: bigint;
	readonly dropped: bigint;
}
export interface WritableLayerFacts {
	/** Of the filesystem that holds it. */
	readonly mountpoint: string;
	readonly usedBytes: bigint;
	readonly inodesUsed: bigint;
	/** When it was counted, which may be before the rest was read; nanoseconds since the epoch. */
	readonly timestampNs: bigint;
}
