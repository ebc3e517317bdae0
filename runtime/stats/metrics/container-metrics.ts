import type {ProcessCount} from '../../../native/native.js';
import type {ContainerRecord} from '../../container/record.js';
import {toFilePath, type CgroupTarget} from '../cgroup-stats.js';
import type {WritableLayerFacts} from '../facts.js';
import type {FilePass} from '../file-pass.js';
import {parseLimit, parseNumber} from '../parse.js';
import {metric, toSeconds, type MetricFacts, type MetricsReader} from './metric.js';

/** Of the filesystem that holds the writable layers. */
export interface FilesystemFacts {
	/** "/dev/vda1". */
	readonly device: string;
	readonly totalBytes: bigint;
	readonly totalInodes: bigint;
	readonly freeInodes: bigint;
}

/** The usage carries the time of its count. */
export function diskMetrics(layer: WritableLayerFacts | null, filesystem: FilesystemFacts): readonly MetricFacts[] {
	const {device} = filesystem;
	const usage = layer === null ? [] : metric('container_fs_usage_bytes', layer.usedBytes, device).map(facts => ({...facts, timestampNs: layer.timestampNs}));
	return [
		...metric('container_fs_inodes_free', filesystem.freeInodes, device),
		...metric('container_fs_inodes_total', filesystem.totalInodes, device),
		...metric('container_fs_limit_bytes', filesystem.totalBytes, device),
		...usage,
	];
}

/** What of the processes files say; the rest is counted by processMetrics. */
export function addThreadMetrics(pass: FilePass, target: CgroupTarget, {pid}: ContainerRecord): MetricsReader {
	const threads = pass.add(toFilePath(target, {v1: ['pids', 'pids.current'], v2: 'pids.current'}));
	const max = pass.add(toFilePath(target, {v1: ['pids', 'pids.max'], v2: 'pids.max'}));
	const limits = pass.add(pid === 0 ? null : `/proc/${pid}/limits`);
	return () => {
		const maxText = max();
		return [
			...metric('container_threads', parseNumber(threads())),
			...metric('container_threads_max', maxText === null ? null : (parseLimit(maxText) ?? 0n)),
			...metric('container_ulimits_soft', parseMaxOpenFiles(limits()), 'max_open_files'),
		];
	};
}

/** The soft limit in /proc/<pid>/limits (proc(5)); null too when it is unlimited, for which an unsigned number has no word. */
export function parseMaxOpenFiles(text: string | null): bigint | null {
	return parseNumber(/^Max open files +(\S+)/m.exec(text ?? '')?.[1] ?? null);
}

export function processMetrics(count: ProcessCount | null): readonly MetricFacts[] {
	if (count === null) return [];
	return [
		...metric('container_processes', BigInt(count.processes)),
		...metric('container_file_descriptors', BigInt(count.descriptors)),
		...metric('container_sockets', BigInt(count.sockets)),
	];
}

/** What the record says. Shares are as asked, since v2 keeps a weight instead. */
export function recordMetrics({state, createdAtNs, resources}: ContainerRecord): readonly MetricFacts[] {
	const startedAtNs = state.phase === 'running' ? state.startedAtNs : createdAtNs;
	return [
		...metric('container_start_time_seconds', toSeconds(startedAtNs)),
		...metric('container_spec_cpu_shares', resources.cpuShares > 0n ? resources.cpuShares : DEFAULT_CPU_SHARES),
	];
}

/** The kernel's, for a cgroup whose shares nobody set (sched-design-CFS.rst). */
const DEFAULT_CPU_SHARES = 1024n;
