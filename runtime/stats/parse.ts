import type {MemoryFacts, SwapFacts} from './facts.js';

/** A file of one number; null for none, "max", or anything else. */
export function parseNumber(text: string | null): bigint | null {
	const trimmed = text?.trim() ?? '';
	return /^\d+$/.test(trimmed) ? BigInt(trimmed) : null;
}

/** v1 writes "no limit" as the largest multiple of a page. */
const V1_UNLIMITED = 1n << 60n;

/** A limit; null for none: "max" on v2, an absurdly large number on v1. */
export function parseLimit(text: string | null): bigint | null {
	const limit = parseNumber(text);
	return limit === null || limit >= V1_UNLIMITED ? null : limit;
}

/** "key value" lines: memory.stat, cpu.stat. Lines of another form are passed over. */
export function parseStat(text: string): ReadonlyMap<string, bigint> {
	const values = new Map<string, bigint>();
	for (const line of text.split('\n')) {
		const [, key, value] = /^(\S+) (\d+)$/.exec(line) ?? [];
		if (key !== undefined && value !== undefined) values.set(key, BigInt(value));
	}
	return values;
}

/** CPU time since the start in ns, from cpuacct.usage (v1, ns) or cpu.stat (v2, usage_usec). */
export function parseCpuUsage(mode: 'v1' | 'v2', text: string | null): bigint | null {
	if (text === null) return null;
	if (mode === 'v1') return parseNumber(text);
	const usageUs = parseStat(text).get('usage_usec');
	return usageUs === undefined ? null : usageUs * 1_000n;
}

/** Names in memory.stat. v1 has sums over the children with "total_" in front: a container may make cgroups of its own. */
const NAMES = {
	v1: {inactiveFile: 'total_inactive_file', rss: 'total_rss', pageFaults: 'total_pgfault', majorPageFaults: 'total_pgmajfault', swap: 'total_swap'},
	v2: {inactiveFile: 'inactive_file', rss: 'anon', pageFaults: 'pgfault', majorPageFaults: 'pgmajfault', swap: ''},
} as const;

export interface MemoryFiles {
	readonly usage: string | null;
	readonly stat: string | null;
	readonly limit: string | null;
	/** v1: memory.memsw.limit_in_bytes; v2: memory.swap.max. */
	readonly swapLimit: string | null;
	/** v2: memory.swap.current; v1 has it in stat. */
	readonly swapUsage: string | null;
}

/** @see memory.rst (v1), cgroup-v2.rst; working set as cAdvisor and the kubelet define it. */
export function parseMemory(mode: 'v1' | 'v2', files: MemoryFiles): MemoryFacts | null {
	const usageBytes = parseNumber(files.usage);
	if (usageBytes === null || files.stat === null) return null;
	const stat = parseStat(files.stat);
	const names = NAMES[mode];
	const workingSetBytes = floor(usageBytes - (stat.get(names.inactiveFile) ?? 0n));
	const limitBytes = parseLimit(files.limit);
	return {
		usageBytes,
		workingSetBytes,
		availableBytes: limitBytes === null ? null : floor(limitBytes - workingSetBytes),
		rssBytes: stat.get(names.rss) ?? 0n,
		pageFaults: stat.get(names.pageFaults) ?? 0n,
		majorPageFaults: stat.get(names.majorPageFaults) ?? 0n,
		limitBytes,
	};
}

/** null where the kernel does not account swap. */
export function parseSwap(mode: 'v1' | 'v2', files: MemoryFiles): SwapFacts | null {
	const usageBytes = mode === 'v2' ? parseNumber(files.swapUsage) : (parseStat(files.stat ?? '').get(NAMES.v1.swap) ?? null);
	if (usageBytes === null) return null;
	const limitBytes = mode === 'v2' ? parseLimit(files.swapLimit) : toV1SwapLimit(parseLimit(files.swapLimit), parseLimit(files.limit));
	return {usageBytes, availableBytes: limitBytes === null ? null : floor(limitBytes - usageBytes)};
}

/** memsw limits memory and swap together. */
function toV1SwapLimit(memorySwapBytes: bigint | null, memoryBytes: bigint | null): bigint | null {
	return memorySwapBytes === null || memoryBytes === null ? null : floor(memorySwapBytes - memoryBytes);
}

function floor(bytes: bigint): bigint {
	return bytes < 0n ? 0n : bytes;
}
