import {stat, statfs} from 'node:fs/promises';
import type {ProcessCount} from '../../../native/native.js';
import type {ContainerRecord} from '../../container/record.js';
import type {Runtime} from '../../runtime.js';
import type {SandboxRecord} from '../../sandbox/record.js';
import {toFilePath, type CgroupTarget} from '../cgroup-stats.js';
import {runPass, toWritableLayer, type Collected, type StatsParts} from '../container-stats.js';
import type {InterfaceFacts, NetworkFacts} from '../facts.js';
import {FilePass} from '../file-pass.js';
import {addNetwork} from '../network.js';
import {liveContainers} from '../sandbox-stats.js';
import {addCpuMetrics, addLimitMetrics, addMemoryMetrics, addOomMetrics, addPressureMetrics, hugetlbMetrics} from './cgroup-metrics.js';
import {addThreadMetrics, diskMetrics, processMetrics, recordMetrics, type FilesystemFacts} from './container-metrics.js';
import type {MetricGroup} from './descriptors.js';
import {addDeviceNames, addDiskIoMetrics, type DeviceName} from './disk-metrics.js';
import {metric, toSeconds, type AddMetrics, type MetricFacts, type MetricsReader} from './metric.js';

/** Metrics of one pod sandbox and of its containers that are not exited. */
export interface SandboxMetricsFacts {
	readonly sandboxId: string;
	readonly metrics: readonly MetricFacts[];
	readonly containers: readonly {readonly record: ContainerRecord; readonly metrics: readonly MetricFacts[]}[];
}

export interface MetricsOptions {
	readonly groups: readonly MetricGroup[];
	/** As the kernel names them: "2MB". */
	readonly hugepageSizes: readonly string[];
}

type MetricsParts = StatsParts & Pick<Runtime, 'state' | 'monitors'>;

/** What is known once everything was read. */
interface Read extends Collected {
	readonly filesystem: FilesystemFacts;
	/** By container id. */
	readonly processes: ReadonlyMap<string, ProcessCount | null>;
}

/** Metrics of pod sandboxes, in their order: one pass over all files. Containers that ended meanwhile are left out. */
export async function readSandboxMetrics(
	runtime: MetricsParts,
	options: MetricsOptions,
	sandboxes: readonly SandboxRecord[],
): Promise<readonly SandboxMetricsFacts[]> {
	const pass = new FilePass();
	const names = addDeviceNames(pass);
	const containers: ContainerRecord[] = [];
	const reads = sandboxes.map(sandbox => {
		const members = liveContainers(runtime, sandbox);
		containers.push(...members);
		return addSandbox(pass, runtime, {options, sandbox, members});
	});
	const [collected, processes] = await Promise.all([
		runPass(runtime, pass, containers),
		options.groups.includes('process') ? countProcesses(runtime, containers) : new Map<string, ProcessCount | null>(),
	]);
	const read = {...collected, processes, filesystem: await readFilesystem(collected.mountpoint, names())};
	return reads.map(toFacts => toFacts(read));
}

interface PodMembers {
	readonly options: MetricsOptions;
	readonly sandbox: SandboxRecord;
	readonly members: readonly ContainerRecord[];
}

function addSandbox(pass: FilePass, runtime: MetricsParts, {options, sandbox, members}: PodMembers): (read: Read) => SandboxMetricsFacts {
	const network = options.groups.includes('network') ? addNetwork(pass, runtime, sandbox) : () => null;
	const containers = members.map(record => ({
		record,
		toFacts: addContainer(pass, {hierarchies: runtime.cgroups, cgroupPath: record.cgroupPath}, {options, record}),
	}));
	return read => ({
		sandboxId: sandbox.id,
		metrics: networkMetrics(network()),
		containers: containers.flatMap(({record, toFacts}) => {
			const metrics = toFacts(read);
			return metrics === null ? [] : [{record, metrics}];
		}),
	});
}

const CGROUP_METRICS: Partial<Record<MetricGroup, AddMetrics>> = {
	cpu: addCpuMetrics,
	memory: addMemoryMetrics,
	oom: addOomMetrics,
	diskIO: addDiskIoMetrics,
	spec: addLimitMetrics,
	pressure: addPressureMetrics,
};

interface Member {
	readonly options: MetricsOptions;
	readonly record: ContainerRecord;
}

/** @returns what to call once all is read: null when the container ended meanwhile. */
function addContainer(pass: FilePass, target: CgroupTarget, {options, record}: Member): (read: Read) => readonly MetricFacts[] | null {
	const {groups, hugepageSizes} = options;
	const alive = pass.add(toFilePath(target, {v1: ['memory', 'memory.usage_in_bytes'], v2: 'memory.current'}));
	const aliveToo = pass.add(toFilePath(target, {v1: ['cpuacct', 'cpuacct.usage'], v2: 'cpu.stat'}));
	const readers = groups.flatMap((group): readonly MetricsReader[] => {
		const add = group === 'hugetlb' ? hugetlbMetrics(hugepageSizes) : CGROUP_METRICS[group];
		return add === undefined ? [] : [add(pass, target)];
	});
	if (groups.includes('process')) readers.push(addThreadMetrics(pass, target, record));
	return read => {
		// As hasVanished() of statistics.
		if (alive() === null && aliveToo() === null) return null;
		return [
			...metric('container_last_seen', toSeconds(read.atNs)),
			...readers.flatMap(reader => reader()),
			...(groups.includes('process') ? processMetrics(read.processes.get(record.id) ?? null) : []),
			...(groups.includes('disk') ? diskMetrics(toWritableLayer(read, record.id), read.filesystem) : []),
			...(groups.includes('spec') ? recordMetrics(record) : []),
		];
	};
}

async function countProcesses(runtime: MetricsParts, records: readonly ContainerRecord[]): Promise<ReadonlyMap<string, ProcessCount | null>> {
	const paths = records.map(({cgroupPath}) => toFilePath({hierarchies: runtime.cgroups, cgroupPath}, {v1: ['pids', 'cgroup.procs'], v2: 'cgroup.procs'}) ?? '');
	const counts = await runtime.kernel.countProcesses(paths);
	return new Map(records.map(({id}, index) => [id, counts[index] ?? null]));
}

async function readFilesystem(mountpoint: string, nameOf: DeviceName): Promise<FilesystemFacts> {
	const [{dev}, {bsize, blocks, files, ffree}] = await Promise.all([stat(mountpoint, {bigint: true}), statfs(mountpoint, {bigint: true})]);
	return {device: nameOf(String(toMajor(dev)), String(toMinor(dev))), totalBytes: bsize * blocks, totalInodes: files, freeInodes: ffree};
}

/** makedev(3), as glibc packs it. */
function toMajor(dev: bigint): bigint {
	return ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
}

function toMinor(dev: bigint): bigint {
	return (dev & 0xffn) | ((dev >> 12n) & 0xffff_ff00n);
}

/** Of every interface but lo. */
function networkMetrics(network: NetworkFacts | null): readonly MetricFacts[] {
	if (network === null) return [];
	const all = [...(network.defaultInterface === null ? [] : [network.defaultInterface]), ...network.interfaces];
	return all.flatMap(found => [...directionMetrics('receive', found), ...directionMetrics('transmit', found)]);
}

function directionMetrics(direction: 'receive' | 'transmit', {name, rx, tx}: InterfaceFacts): readonly MetricFacts[] {
	const {bytes, packets, dropped, errors} = direction === 'receive' ? rx : tx;
	return [
		...metric(`container_network_${direction}_bytes_total`, bytes, name),
		...metric(`container_network_${direction}_packets_total`, packets, name),
		...metric(`container_network_${direction}_packets_dropped_total`, dropped, name),
		...metric(`container_network_${direction}_errors_total`, errors, name),
	];
}
