import {join} from 'node:path';
import type {Kernel} from '../../native/native.js';
import type {ResourceFacts} from '../sandbox/record.js';
import {toCpuShares, toCpuWeight, toSharesOfWeight} from './cpu.js';
import {v1Dir, type CgroupHierarchies} from './hierarchies.js';
import {toMemoryLimits} from './memory.js';

type Text = string | null;
/** What the files of one cgroup say, in the units of the CRI; null: not readable. No limit is -1n. */
interface Said {
	readonly shares: {readonly text: Text; readonly isWeight: boolean};
	readonly quotaUs: bigint | null;
	readonly periodUs: bigint | null;
	readonly memoryBytes: bigint | null;
	readonly memoryAndSwapBytes: bigint | null;
	readonly cpus: Text;
	readonly mems: Text;
	readonly hugepages: readonly Text[];
}

/** Rounding to pages, also to those of 64 KiB that some machines have. */
const MAX_PAGE_BYTES = 65_536n;

/**
 * The limits that hold now, read back from the cgroup. Where a file says what `asked` amounts to, the value is as asked: shares are not what a weight converts
 * back to, and a limit is rounded to pages; the kubelet compares with what it asked for. What nobody asked for and nobody set stays unspecified (0).
 *
 * oom_score_adj and unified are as asked.
 */
export async function readActualResources(
	{kernel, cgroups}: {readonly kernel: Pick<Kernel, 'readFiles'>; readonly cgroups: CgroupHierarchies},
	cgroupPath: string,
	asked: ResourceFacts,
): Promise<ResourceFacts> {
	const isV2 = cgroups.mode === 'v2' && cgroups.unified !== null;
	const paths = isV2 ? toV2Paths(join(cgroups.unified.mountpoint, cgroupPath), asked) : toV1Paths(cgroups, cgroupPath, asked);
	const texts = (await kernel.readFiles(paths)).map(content => (content === null ? null : Buffer.from(content).toString('latin1').trim()));
	return toActual(asked, isV2 ? fromV2(texts) : fromV1(texts));
}

function toV1Paths(cgroups: CgroupHierarchies, cgroupPath: string, asked: ResourceFacts): string[] {
	const file = (controller: string, name: string): string => {
		const dir = v1Dir(cgroups, controller, cgroupPath);
		return dir === null ? '' : join(dir, name);
	};
	return [
		file('cpu', 'cpu.shares'),
		file('cpu', 'cpu.cfs_quota_us'),
		file('cpu', 'cpu.cfs_period_us'),
		file('memory', 'memory.limit_in_bytes'),
		file('memory', 'memory.memsw.limit_in_bytes'),
		file('cpuset', 'cpuset.cpus'),
		file('cpuset', 'cpuset.mems'),
		...asked.hugepageLimits.map(({pageSize}) => file('hugetlb', `hugetlb.${pageSize}.limit_in_bytes`)),
	];
}

function fromV1([shares, quota, period, memory, memsw, cpus, mems, ...hugepages]: readonly Text[]): Said {
	return {
		shares: {text: shares ?? null, isWeight: false},
		quotaUs: toNumber(quota),
		periodUs: toNumber(period),
		memoryBytes: toLimit(memory),
		memoryAndSwapBytes: toLimit(memsw),
		cpus: cpus ?? null,
		mems: mems ?? null,
		hugepages,
	};
}

function toV2Paths(dir: string, asked: ResourceFacts): string[] {
	const names = ['cpu.weight', 'cpu.max', 'memory.max', 'memory.swap.max', 'cpuset.cpus', 'cpuset.mems'];
	return [...names, ...asked.hugepageLimits.map(({pageSize}) => `hugetlb.${pageSize}.max`)].map(name => join(dir, name));
}

function fromV2([weight, max, memory, swap, cpus, mems, ...hugepages]: readonly Text[]): Said {
	const [quota, period] = max?.split(' ') ?? [];
	const memoryBytes = toLimit(memory);
	const swapBytes = toLimit(swap);
	const both = memoryBytes === null || swapBytes === null ? null : memoryBytes < 0n || swapBytes < 0n ? -1n : memoryBytes + swapBytes;
	return {
		shares: {text: weight ?? null, isWeight: true},
		quotaUs: quota === 'max' ? -1n : toNumber(quota),
		periodUs: toNumber(period),
		memoryBytes,
		memoryAndSwapBytes: both,
		cpus: cpus ?? null,
		mems: mems ?? null,
		hugepages,
	};
}

function toNumber(text: Text | undefined): bigint | null {
	return text !== null && text !== undefined && /^-?\d+$/.test(text) ? BigInt(text) : null;
}

/** "max" of v2; on v1 the largest multiple of a page that a signed 64-bit number holds. */
function toLimit(text: Text | undefined): bigint | null {
	const bytes = text === 'max' ? -1n : toNumber(text);
	return bytes !== null && bytes > 2n ** 63n - 1n - MAX_PAGE_BYTES ? -1n : bytes;
}

function toActual(asked: ResourceFacts, said: Said): ResourceFacts {
	const memory = toMemoryLimits(asked.memoryLimitBytes, asked.memorySwapLimitBytes);
	const unlimited = -1n;
	return {
		...asked,
		cpuShares: toActualShares(asked.cpuShares, said.shares),
		cpuQuotaUs: orSaid(asked.cpuQuotaUs, asked.cpuQuotaUs > 0n ? asked.cpuQuotaUs : unlimited, said.quotaUs),
		cpuPeriodUs: toActualPeriod(asked, said),
		memoryLimitBytes: orSaid(asked.memoryLimitBytes, memory?.limitBytes ?? unlimited, said.memoryBytes),
		memorySwapLimitBytes: orSaid(asked.memorySwapLimitBytes, memory?.memoryAndSwapBytes ?? unlimited, said.memoryAndSwapBytes),
		cpusetCpus: toActualSet(asked.cpusetCpus, said.cpus),
		cpusetMems: toActualSet(asked.cpusetMems, said.mems),
		hugepageLimits: asked.hugepageLimits.map((limit, index) => ({...limit, limitBytes: toActualHugepages(limit, said.hugepages[index])})),
	};
}

/** `asked` where the file says what it amounts to (`expected`), but for rounding. */
function orSaid(asked: bigint, expected: bigint, said: bigint | null): bigint {
	if (said === null || said === expected) return asked;
	const rounded = expected > 0n && said > 0n && said < expected && expected - said < MAX_PAGE_BYTES && expected > MAX_PAGE_BYTES * 4n;
	return rounded ? asked : said;
}

/** Without a quota a period that nobody asked for says nothing. */
function toActualPeriod(asked: ResourceFacts, said: Said): bigint {
	if (asked.cpuQuotaUs !== 0n || asked.cpuPeriodUs !== 0n) return orSaid(asked.cpuPeriodUs, asked.cpuPeriodUs || 100_000n, said.periodUs);
	return (said.quotaUs ?? -1n) < 0n ? 0n : (said.periodUs ?? 0n);
}

/** 1024 is the kernel's default, on v2 as a weight of 100. */
function toActualShares(asked: bigint, {text, isWeight}: Said['shares']): bigint {
	const said = toNumber(text);
	const shares = toCpuShares(asked) ?? 1024n;
	if (said === null || said === (isWeight ? BigInt(toCpuWeight(shares)) : shares)) return asked;
	return isWeight ? toSharesOfWeight(Number(said)) : said;
}

/** What nobody asked for is the parent's. "0,1" and "0-1" are the same. */
function toActualSet(asked: string, said: Text): string {
	if (asked === '' || said === null) return asked;
	const numbers = (list: string): string => [...new Set(list.split(',').flatMap(toRange))].toSorted((a, b) => a - b).join();
	return numbers(asked) === numbers(said) ? asked : said;
}

function toRange(range: string): number[] {
	const [low = 0, high = low] = range.split('-').map(Number);
	// A list that the kernel never says: not worth its memory.
	return high - low > 100_000 ? [low, high] : Array.from({length: high - low + 1}, (_, index) => low + index);
}

/** Rounded to whole pages of the size. No limit is the largest number that the field takes. */
function toActualHugepages({pageSize, limitBytes}: ResourceFacts['hugepageLimits'][number], said: Text | undefined): bigint {
	const bytes = toLimit(said);
	const pageBytes = BigInt(Number.parseInt(pageSize, 10)) * (PAGE_UNITS[pageSize.at(-2) ?? ''] ?? 1n);
	if (bytes === null || bytes === limitBytes - (limitBytes % pageBytes)) return limitBytes;
	return bytes < 0n ? 2n ** 64n - 1n : bytes;
}

const PAGE_UNITS: Readonly<Record<string, bigint>> = {K: 1n << 10n, M: 1n << 20n, G: 1n << 30n};
