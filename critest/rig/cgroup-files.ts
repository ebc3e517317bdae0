import {access, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {CriClient} from './cri-client.js';

const MOUNT = '/sys/fs/cgroup';

/** Where a limit is to be found: "<controller>/<file>" on v1, a file's name on v2. */
export interface LimitFile {
	readonly v1: string;
	readonly v2: string;
}
export const CPU_SHARES: LimitFile = {v1: 'cpu/cpu.shares', v2: 'cpu.weight'};
export const MEMORY_LIMIT: LimitFile = {v1: 'memory/memory.limit_in_bytes', v2: 'memory.max'};
export const CPUS: LimitFile = {v1: 'cpuset/cpuset.cpus', v2: 'cpuset.cpus'};
export const PIDS_LIMIT: LimitFile = {v1: 'pids/pids.max', v2: 'pids.max'};

/** true: the machine has nothing but the unified hierarchy. */
export async function isPureV2(): Promise<boolean> {
	return await exists(join(MOUNT, 'cgroup.controllers'));
}

/** false: this machine has no such controller, on v1 or v2. */
export async function hasController(name: string): Promise<boolean> {
	if (!(await isPureV2())) return await exists(join(MOUNT, name, 'cgroup.procs'));
	return (await readFile(join(MOUNT, 'cgroup.controllers'), 'utf8')).split(/\s+/).includes(name);
}

/** What a file of a cgroup says. `cgroupPath` is below each hierarchy's root. @throws ENOENT */
export async function readLimit(cgroupPath: string, file: LimitFile): Promise<string> {
	return (await readFile(await limitPath(cgroupPath, file), 'utf8')).trimEnd();
}

export async function limitPath(cgroupPath: string, file: LimitFile): Promise<string> {
	if (await isPureV2()) return join(MOUNT, cgroupPath, file.v2);
	const [controller = '', name = ''] = file.v1.split('/');
	return join(MOUNT, controller, cgroupPath, name);
}

/** "<quota> <period>" in µs; no limit is "max". */
export async function readCpuLimit(cgroupPath: string): Promise<string> {
	if (await isPureV2()) return (await readFile(join(MOUNT, cgroupPath, 'cpu.max'), 'utf8')).trim();
	const [quota = '', period = ''] = await Promise.all(['quota', 'period'].map(name => readFile(join(MOUNT, 'cpu', cgroupPath, `cpu.cfs_${name}_us`), 'utf8')));
	return `${quota.trim().replace(/^-1$/, 'max')} ${period.trim()}`;
}

/** Below each hierarchy's root. */
export async function containerCgroup(cri: CriClient, containerId: string): Promise<string> {
	return (await containerInfo(cri, containerId)).cgroupPath;
}

export interface ContainerInfo {
	readonly cgroupPath: string;
	readonly paused: boolean;
	readonly pid: number;
}

/** The verbose part of ContainerStatus. */
export async function containerInfo(cri: CriClient, containerId: string): Promise<ContainerInfo> {
	const {info} = await cri.call('ContainerStatus', {container_id: containerId, verbose: true});
	return JSON.parse(info['info'] ?? '{}') as ContainerInfo;
}

async function exists(path: string): Promise<boolean> {
	return await access(path).then(
		() => true,
		() => false,
	);
}
