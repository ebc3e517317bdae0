/** Statistics of one container. null: the kernel does not say, or the container has no cgroup any more. */
export interface ContainerStatsFacts {
	readonly containerId: string;
	/** When the files were read; nanoseconds since the epoch. */
	readonly timestampNs: bigint;
	readonly cpu: CpuFacts | null;
	readonly memory: MemoryFacts | null;
	readonly swap: SwapFacts | null;
	/** Processes and threads. */
	readonly pids: bigint | null;
	readonly writableLayer: WritableLayerFacts | null;
}
export interface CpuFacts {
	/** Since the start, over all cores. */
	readonly usageCoreNs: bigint;
	/** Per second, since the sample before; null for the first. */
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
export interface WritableLayerFacts {
	/** Of the filesystem that holds it. */
	readonly mountpoint: string;
	readonly usedBytes: bigint;
	readonly inodesUsed: bigint;
}
