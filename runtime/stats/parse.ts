import type {InterfaceCounters, InterfaceFacts, MemoryFacts, Psi, PsiLine, SwapFacts} from './facts.js';

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

/**
 * The number of one key in "key value" lines: memory.stat, cpu.stat. null: no such line.
 * Looks for the few keys that are wanted: taking all 40 lines of 600 cgroups apart would hold the event loop up.
 */
export function findStat(text: string | null, key: string): bigint | null {
	if (text === null) return null;
	const before = text.startsWith(`${key} `) ? 0 : text.indexOf(`\n${key} `);
	if (before === -1) return null;
	const start = before + (before === 0 && text.startsWith(key) ? 0 : 1) + key.length + 1;
	const end = text.indexOf('\n', start);
	return parseNumber(text.slice(start, end === -1 ? undefined : end));
}

/** CPU time since the start in ns, from cpuacct.usage (v1, ns) or cpu.stat (v2, usage_usec). */
export function parseCpuUsage(mode: 'v1' | 'v2', text: string | null): bigint | null {
	return mode === 'v1' ? parseNumber(text) : toNs(findStat(text, 'usage_usec'));
}

export function toNs(us: bigint | null): bigint | null {
	return us === null ? null : us * 1000n;
}

/** Names in memory.stat. v1 has sums over the children with "total_" in front: a container may make cgroups of its own. */
export const MEMORY_STAT = {
	v1: {
		inactiveFile: 'total_inactive_file',
		activeFile: 'total_active_file',
		rss: 'total_rss',
		cache: 'total_cache',
		mappedFile: 'total_mapped_file',
		pageFaults: 'total_pgfault',
		majorPageFaults: 'total_pgmajfault',
		swap: 'total_swap',
	},
	v2: {
		inactiveFile: 'inactive_file',
		activeFile: 'active_file',
		rss: 'anon',
		cache: 'file',
		mappedFile: 'file_mapped',
		pageFaults: 'pgfault',
		majorPageFaults: 'pgmajfault',
		swap: '',
	},
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
	const names = MEMORY_STAT[mode];
	const stat = (key: string): bigint => findStat(files.stat, key) ?? 0n;
	const workingSetBytes = floor(usageBytes - stat(names.inactiveFile));
	const limitBytes = parseLimit(files.limit);
	return {
		usageBytes,
		workingSetBytes,
		availableBytes: limitBytes === null ? null : floor(limitBytes - workingSetBytes),
		rssBytes: stat(names.rss),
		pageFaults: stat(names.pageFaults),
		majorPageFaults: stat(names.majorPageFaults),
		limitBytes,
	};
}

/** null where the kernel does not account swap. */
export function parseSwap(mode: 'v1' | 'v2', files: MemoryFiles): SwapFacts | null {
	const usageBytes = mode === 'v2' ? parseNumber(files.swapUsage) : findStat(files.stat, MEMORY_STAT.v1.swap);
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

const NO_PRESSURE: PsiLine = {totalNs: 0n, avg10: 0, avg60: 0, avg300: 0};

/** cpu.pressure, memory.pressure, io.pressure (psi.rst). Before 5.13 cpu.pressure has no line "full". */
export function parsePressure(text: string | null): Psi | null {
	if (text === null) return null;
	const lines = new Map<string, PsiLine>();
	for (const [, kind = '', avg10, avg60, avg300, totalUs = '0'] of text.matchAll(/^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$/gm))
		lines.set(kind, {totalNs: BigInt(totalUs) * 1000n, avg10: Number(avg10), avg60: Number(avg60), avg300: Number(avg300)});
	const some = lines.get('some');
	return some === undefined ? null : {some, full: lines.get('full') ?? NO_PRESSURE};
}

/** Where /proc/net/dev has its columns, receive and then transmit (proc(5)). */
const RX = 0;
const TX = 8;
const COLUMNS = 16;

/** /proc/<pid>/net/dev; lo and lines that are not whole (the file is cut at 64 KiB: a pod may make any number of interfaces) are left out. */
export function parseNetDev(text: string): readonly InterfaceFacts[] {
	const whole = text.slice(0, text.lastIndexOf('\n') + 1);
	const found: InterfaceFacts[] = [];
	for (const [, name = '', rest = ''] of whole.matchAll(/^ *([^\s:]+): *(\d[\d ]*)$/gm)) {
		const columns = rest.trim().split(/ +/).map(BigInt);
		if (name !== 'lo' && columns.length >= COLUMNS) found.push({name, rx: toCounters(columns, RX), tx: toCounters(columns, TX)});
	}
	return found;
}

function toCounters(columns: readonly bigint[], at: number): InterfaceCounters {
	const column = (offset: number): bigint => columns[at + offset] ?? 0n;
	return {bytes: column(0), packets: column(1), errors: column(2), dropped: column(3)};
}
