import {addPressure, toFilePath, type CgroupFile, type CgroupTarget} from '../cgroup-stats.js';
import type {Psi} from '../facts.js';
import type {FilePass, FileText} from '../file-pass.js';
import {findStat, MEMORY_STAT, parseCpuUsage, parseLimit, parseMemory, parseNumber, parseSwap, toNs} from '../parse.js';
import {metric, toSeconds, type AddMetrics, type MetricFacts} from './metric.js';

function add<K extends string>(pass: FilePass, target: CgroupTarget, files: Readonly<Record<K, CgroupFile>>): Readonly<Record<K, FileText>> {
	return Object.fromEntries(Object.entries<CgroupFile>(files).map(([name, file]) => [name, pass.add(toFilePath(target, file))])) as Record<K, FileText>;
}

function modeOf({hierarchies}: CgroupTarget): 'v1' | 'v2' {
	return hierarchies.mode === 'v2' ? 'v2' : 'v1';
}

const CPU = {
	usage: {v1: ['cpuacct', 'cpuacct.usage'], v2: 'cpu.stat'},
	user: {v1: ['cpuacct', 'cpuacct.usage_user'], v2: 'cpu.stat'},
	system: {v1: ['cpuacct', 'cpuacct.usage_sys'], v2: 'cpu.stat'},
	throttling: {v1: ['cpu', 'cpu.stat'], v2: 'cpu.stat'},
} as const;

export const addCpuMetrics: AddMetrics = (pass, target) => {
	const files = add(pass, target, CPU);
	const v1 = modeOf(target) === 'v1';
	return () => {
		const throttling = files.throttling();
		const userNs = v1 ? parseNumber(files.user()) : toNs(findStat(files.user(), 'user_usec'));
		const systemNs = v1 ? parseNumber(files.system()) : toNs(findStat(files.system(), 'system_usec'));
		const throttledNs = v1 ? findStat(throttling, 'throttled_time') : toNs(findStat(throttling, 'throttled_usec'));
		return [
			...metric('container_cpu_user_seconds_total', toSeconds(userNs)),
			...metric('container_cpu_system_seconds_total', toSeconds(systemNs)),
			...metric('container_cpu_usage_seconds_total', toSeconds(parseCpuUsage(modeOf(target), files.usage())), 'total'),
			...metric('container_cpu_cfs_periods_total', findStat(throttling, 'nr_periods')),
			...metric('container_cpu_cfs_throttled_periods_total', findStat(throttling, 'nr_throttled')),
			...metric('container_cpu_cfs_throttled_seconds_total', toSeconds(throttledNs)),
		];
	};
};

const MEMORY = {
	usage: {v1: ['memory', 'memory.usage_in_bytes'], v2: 'memory.current'},
	stat: {v1: ['memory', 'memory.stat'], v2: 'memory.stat'},
	swap: {v1: null, v2: 'memory.swap.current'},
	/** Since 5.19 on v2. */
	peak: {v1: ['memory', 'memory.max_usage_in_bytes'], v2: 'memory.peak'},
	hits: {v1: ['memory', 'memory.failcnt'], v2: 'memory.events'},
	/** Where the limits of memory and of memory with swap are the same, the latter is hit first. */
	swapHits: {v1: ['memory', 'memory.memsw.failcnt'], v2: null},
	kernel: {v1: ['memory', 'memory.kmem.usage_in_bytes'], v2: 'memory.stat'},
} as const;

export const addMemoryMetrics: AddMetrics = (pass, target) => {
	const files = add(pass, target, MEMORY);
	const mode = modeOf(target);
	const names = MEMORY_STAT[mode];
	return () => {
		const stat = files.stat();
		const memoryFiles = {usage: files.usage(), stat, limit: null, swapLimit: null, swapUsage: files.swap()};
		const memory = parseMemory(mode, memoryFiles);
		const find = (key: string): bigint | null => findStat(stat, key);
		return [
			...metric('container_memory_cache', find(names.cache)),
			...metric('container_memory_rss', find(names.rss)),
			...metric('container_memory_kernel_usage', mode === 'v1' ? parseNumber(files.kernel()) : find('kernel')),
			...metric('container_memory_mapped_file', find(names.mappedFile)),
			...metric('container_memory_swap', parseSwap(mode, memoryFiles)?.usageBytes ?? null),
			...metric('container_memory_failcnt', mode === 'v1' ? sum(parseNumber(files.hits()), parseNumber(files.swapHits())) : findStat(files.hits(), 'max')),
			...metric('container_memory_usage_bytes', memory?.usageBytes ?? null),
			...metric('container_memory_max_usage_bytes', parseNumber(files.peak())),
			...metric('container_memory_working_set_bytes', memory?.workingSetBytes ?? null),
			...metric('container_memory_total_active_file_bytes', find(names.activeFile)),
			...metric('container_memory_total_inactive_file_bytes', find(names.inactiveFile)),
			// v2 has sums alone; v1's without "total_" are without children.
			...metric('container_memory_failures_total', find('pgfault'), 'pgfault', 'container'),
			...metric('container_memory_failures_total', find('pgmajfault'), 'pgmajfault', 'container'),
			...metric('container_memory_failures_total', find(names.pageFaults), 'pgfault', 'hierarchy'),
			...metric('container_memory_failures_total', find(names.majorPageFaults), 'pgmajfault', 'hierarchy'),
		];
	};
};

/** null only where the first is. */
function sum(a: bigint | null, b: bigint | null): bigint | null {
	return a === null ? null : a + (b ?? 0n);
}

export const addOomMetrics: AddMetrics = (pass, target) => {
	const {events} = add(pass, target, {events: {v1: ['memory', 'memory.oom_control'], v2: 'memory.events'}});
	return () => metric('container_oom_events_total', findStat(events(), 'oom_kill'));
};

export const addPressureMetrics: AddMetrics = (pass, target) => {
	const pressure = addPressure(pass, target);
	const of = (resource: string, psi: Psi | null): readonly MetricFacts[] => [
		...metric(`container_pressure_${resource}_stalled_seconds_total`, toSeconds(psi?.full.totalNs ?? null)),
		...metric(`container_pressure_${resource}_waiting_seconds_total`, toSeconds(psi?.some.totalNs ?? null)),
	];
	return () => {
		const {cpu, memory, io} = pressure();
		return [...of('cpu', cpu), ...of('memory', memory), ...of('io', io)];
	};
};

const SPEC = {
	period: {v1: ['cpu', 'cpu.cfs_period_us'], v2: 'cpu.max'},
	quota: {v1: ['cpu', 'cpu.cfs_quota_us'], v2: 'cpu.max'},
	limit: {v1: ['memory', 'memory.limit_in_bytes'], v2: 'memory.max'},
	swapLimit: {v1: ['memory', 'memory.memsw.limit_in_bytes'], v2: 'memory.swap.max'},
	reservation: {v1: ['memory', 'memory.soft_limit_in_bytes'], v2: 'memory.min'},
} as const;

/** Limits as the kernel has them now; 0 for no limit of memory, as cAdvisor. */
export const addLimitMetrics: AddMetrics = (pass, target) => {
	const files = add(pass, target, SPEC);
	const v1 = modeOf(target) === 'v1';
	const bytes = (text: string | null): bigint | null => (text === null ? null : (parseLimit(text) ?? 0n));
	return () => {
		// v2: "max 100000" or "20000 100000".
		const [quota = null, period = null] = v1 ? [files.quota(), files.period()] : (files.quota()?.trim().split(' ') ?? []);
		return [
			...metric('container_spec_cpu_period', parseNumber(period)),
			...metric('container_spec_cpu_quota', parseNumber(quota)),
			...metric('container_spec_memory_limit_bytes', bytes(files.limit())),
			...metric('container_spec_memory_swap_limit_bytes', bytes(files.swapLimit())),
			...metric('container_spec_memory_reservation_limit_bytes', bytes(files.reservation())),
		];
	};
};

/** @param pageSizes as the kernel names the files: "2MB". */
export function hugetlbMetrics(pageSizes: readonly string[]): AddMetrics {
	return (pass, target) => {
		const sizes = pageSizes.map(size => ({
			size,
			...add(pass, target, {
				usage: {v1: ['hugetlb', `hugetlb.${size}.usage_in_bytes`], v2: `hugetlb.${size}.current`},
				// v2 keeps no maximum.
				peak: {v1: ['hugetlb', `hugetlb.${size}.max_usage_in_bytes`], v2: null},
			}),
		}));
		return () =>
			sizes.flatMap(({size, usage, peak}) => [
				...metric('container_hugetlb_usage_bytes', parseNumber(usage()), size),
				...metric('container_hugetlb_max_usage_bytes', parseNumber(peak()), size),
			]);
	};
}
