import {join} from 'node:path';
import type {SandboxRecord} from '../sandbox/record.js';
import type {CgroupDriver} from './driver.js';
import type {CgroupHierarchies} from './hierarchies.js';

/** Whose containers cAdvisor takes ours for. docs/decisions/0035-cadvisor-identity.md. */
export type Identity = 'berth' | 'cri-o';

/** What decides the names of new cgroups. Those of what runs are in its records. */
export interface CgroupNaming {
	readonly identity: Identity;
	readonly cgroupDriver: CgroupDriver['name'];
}

/**
 * The last part of the path of a container's cgroup, or of the one that stands for its pod.
 *
 * cAdvisor takes a cgroup for one of CRI-O's when its name begins with "crio" and holds 64 hexadecimal digits; and, where that says that its driver is systemd, ends
 * with ".scope" (cadvisor, container/crio/factory.go).
 */
export function toCgroupName({identity, cgroupDriver}: CgroupNaming, id: string): string {
	if (identity === 'berth') return id;
	return cgroupDriver === 'systemd' ? `crio-${id}.scope` : `crio-${id}`;
}

/** Of the cgroup that stands for a pod, since cAdvisor counts a pod's network by that. null: there is none; on the host's network it would count the node's. */
export function toPodCgroupName(naming: CgroupNaming, {id, attachment}: Pick<SandboxRecord, 'id' | 'attachment'>): string | null {
	return naming.identity === 'berth' || attachment === null ? null : toCgroupName(naming, id);
}

/**
 * Directories of the cgroup that stands for a pod. On v1 cAdvisor merges the hierarchies, and is content with a cgroup that is in one of them: in the one that costs the
 * least, of those that cAdvisor always watches.
 */
export function toPodCgroupDirs({v1, unified, mode}: CgroupHierarchies, cgroupPath: string): readonly string[] {
	if (mode === 'v2') return unified === null ? [] : [join(unified.mountpoint, cgroupPath)];
	const found = ['devices', 'cpu', 'cpuacct', 'memory'].flatMap(name => v1.filter(({controllers}) => controllers.includes(name)));
	return found.slice(0, 1).map(({mountpoint}) => join(mountpoint, cgroupPath));
}
