import {readFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {InvalidArgumentError, UnavailableError} from '../../base/errors.js';
import type {CgroupMountSpec} from '../../native/native.js';

/** One mounted hierarchy. */
export interface CgroupHierarchy {
	/** Where it is mounted on the host. */
	readonly mountpoint: string;
	/** v1: "cpu", "cpuacct", …, or one "name=systemd". Empty for the unified one. */
	readonly controllers: readonly string[];
}

/** The cgroup hierarchies of this machine, as mounted in the daemon's mount namespace. */
export interface CgroupHierarchies {
	/** v1: no unified hierarchy; hybrid: controllers on v1, a unified one besides; v2: the unified one only. */
	readonly mode: 'v1' | 'hybrid' | 'v2';
	readonly v1: readonly CgroupHierarchy[];
	readonly unified: CgroupHierarchy | null;
}

/** Controllers that a v1 hierarchy may carry (cgroups.rst, and the kernel's cgroup_subsys.h); other words among the mount options are flags. */
const V1_CONTROLLERS = new Set([
	'cpu',
	'cpuacct',
	'cpuset',
	'memory',
	'devices',
	'freezer',
	'blkio',
	'pids',
	'hugetlb',
	'net_cls',
	'net_prio',
	'perf_event',
	'rdma',
	'misc',
]);
const HOST_ROOT = '/sys/fs/cgroup/';

/**
 * Reads /proc/self/mountinfo. Where one hierarchy is mounted at several places, the one below /sys/fs/cgroup is taken.
 *
 * @throws {UnavailableError} no cgroup hierarchy is mounted.
 * @see proc(5), /proc/pid/mountinfo.
 */
export function detectCgroups(mountinfo: string): CgroupHierarchies {
	const v1 = new Map<string, CgroupHierarchy>();
	let unified: CgroupHierarchy | null = null;
	for (const line of mountinfo.split('\n')) {
		const mount = parseMount(line);
		if (mount === null) continue;
		if (mount.fstype === 'cgroup2') {
			if (unified === null || isBetter(mount.mountpoint, unified.mountpoint)) unified = {mountpoint: mount.mountpoint, controllers: []};
			continue;
		}
		const controllers = mount.options.filter(option => V1_CONTROLLERS.has(option) || option.startsWith('name='));
		const key = controllers.join(',');
		const known = v1.get(key);
		if (controllers.length > 0 && (known === undefined || isBetter(mount.mountpoint, known.mountpoint)))
			v1.set(key, {mountpoint: mount.mountpoint, controllers});
	}
	const hasControllers = [...v1.values()].some(({controllers}) => controllers.some(controller => V1_CONTROLLERS.has(controller)));
	if (hasControllers) return {mode: unified === null ? 'v1' : 'hybrid', v1: [...v1.values()], unified};
	if (unified === null) throw new UnavailableError('no cgroup hierarchy is mounted below /sys/fs/cgroup');
	return {mode: 'v2', v1: [], unified};
}

/** @throws {UnavailableError} no cgroup hierarchy is mounted. */
export async function openCgroups(): Promise<CgroupHierarchies> {
	return detectCgroups(await readFile('/proc/self/mountinfo', 'utf8'));
}

function parseMount(line: string): {readonly fstype: string; readonly mountpoint: string; readonly options: readonly string[]} | null {
	// Optional fields end with " - "; after it: type, source, options of the superblock.
	const [before, after] = line.split(' - ');
	const mountpoint = before?.split(' ')[4];
	const [fstype, , options] = after?.split(' ') ?? [];
	if (mountpoint === undefined || (fstype !== 'cgroup' && fstype !== 'cgroup2')) return null;
	return {fstype, mountpoint: unescape(mountpoint), options: (options ?? '').split(',')};
}

/** mountinfo writes blanks and the like as octal \040. */
function unescape(path: string): string {
	return path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function isBetter(candidate: string, known: string): boolean {
	const isHosts = (path: string): boolean => `${path}/`.startsWith(HOST_ROOT);
	return isHosts(candidate) && !isHosts(known);
}

function all(hierarchies: CgroupHierarchies): readonly CgroupHierarchy[] {
	return hierarchies.unified === null ? hierarchies.v1 : [...hierarchies.v1, hierarchies.unified];
}

/**
 * The directory of a cgroup in each hierarchy.
 *
 * @param cgroupPath below each hierarchy's root: "/kubepods/pod1".
 * @throws {InvalidArgumentError} not absolute, or with "." or ".." in it.
 */
export function absoluteDirs(hierarchies: CgroupHierarchies, cgroupPath: string): string[] {
	assertCgroupPath('cgroup path', cgroupPath);
	return all(hierarchies).map(({mountpoint}) => join(mountpoint, cgroupPath));
}

/** Where `controller` of v1 has the cgroup; null when it is not mounted. */
export function v1Dir(hierarchies: CgroupHierarchies, controller: string, cgroupPath: string): string | null {
	const hierarchy = hierarchies.v1.find(({controllers}) => controllers.includes(controller));
	return hierarchy === undefined ? null : join(hierarchy.mountpoint, cgroupPath);
}

/** What a container sees below its /sys/fs/cgroup. */
export function mountSpecs(hierarchies: CgroupHierarchies): CgroupMountSpec[] {
	if (hierarchies.mode === 'v2') return [{name: '', fstype: 'cgroup2', options: ''}];
	const v1 = hierarchies.v1.map(
		({mountpoint, controllers}): CgroupMountSpec => ({name: basename(mountpoint), fstype: 'cgroup', options: controllers.join(',')}),
	);
	return hierarchies.unified === null ? v1 : [...v1, {name: basename(hierarchies.unified.mountpoint), fstype: 'cgroup2', options: ''}];
}

/** @throws {InvalidArgumentError} a path that could lead out of the hierarchy, or that the kernel would refuse. */
export function assertCgroupPath(field: string, path: string): void {
	const parts = path.split('/').slice(1);
	if (!path.startsWith('/') || path.includes('\0') || path.includes('\n') || parts.some(part => part === '.' || part === '..' || part.length > 255))
		throw new InvalidArgumentError(`${field} "${path}" must be absolute, without "." and "..", each part at most 255 long`, {field});
}
