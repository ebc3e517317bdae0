import {join} from 'node:path';
import type {CgroupPlan, CgroupProgram, CgroupWrite} from '../../native/native.js';
import type {ResourceFacts} from '../sandbox/record.js';
import type {DeviceRules} from './device-rules.js';
import {absoluteDirs, v1Dir, type CgroupHierarchies} from './hierarchies.js';
import {isPodScope} from './systemd/slices.js';
import {toV1DeviceWrites, toV1Writes} from './v1/writes.js';
import {toDeviceProgram} from './v2/device-program.js';
import {ancestors, toSubtreeWrites, toV2Writes} from './v2/writes.js';

export {toResourceFacts} from './resources.js';

/**
 * A container's cgroup: its directory in every hierarchy, its limits, and where its processes go. The pod's cgroup is there already.
 *
 * @throws {InvalidArgumentError} a limit out of range, or one that this machine's cgroups cannot set.
 */
export function toContainerCgroupPlan(hierarchies: CgroupHierarchies, cgroupPath: string, resources: ResourceFacts, devices: DeviceRules): CgroupPlan {
	const dirs = absoluteDirs(hierarchies, cgroupPath);
	return {
		dirs,
		writes: [...toWrites(hierarchies, cgroupPath, resources), ...toV1DeviceWrites(hierarchies, cgroupPath, devices)],
		join: dirs,
		programs: toDevicePrograms(hierarchies, cgroupPath, devices),
	};
}

/** Where v1's devices controller is missing the list is a program. */
function toDevicePrograms(hierarchies: CgroupHierarchies, cgroupPath: string, devices: DeviceRules): CgroupProgram[] {
	if (devices === 'all' || hierarchies.unified === null || v1Dir(hierarchies, 'devices', cgroupPath) !== null) return [];
	return [{dir: join(hierarchies.unified.mountpoint, cgroupPath), kind: 'device', instructions: toDeviceProgram(devices)}];
}

/**
 * A pod's cgroup with its ancestors. `resources` null: the limits are the kubelet's to set.
 *
 * @throws {InvalidArgumentError} as for a container.
 */
export function toSandboxCgroupPlan(hierarchies: CgroupHierarchies, cgroupPath: string, resources: ResourceFacts | null): CgroupPlan {
	// A scope is systemd's to make, around the monitor that this plan is for.
	if (isPodScope(cgroupPath)) return {dirs: [], writes: [], join: []};
	const paths = [...ancestors(cgroupPath).slice(1), ...(cgroupPath === '/' ? [] : [cgroupPath])];
	const writes = resources === null ? toSubtree(hierarchies, cgroupPath) : toWrites(hierarchies, cgroupPath, resources);
	return {dirs: paths.flatMap(path => absoluteDirs(hierarchies, path)), writes, join: []};
}

/** Limits of a container's or pod's cgroup, without what its making needs. */
export function toResourceWrites(hierarchies: CgroupHierarchies, cgroupPath: string, resources: ResourceFacts): CgroupWrite[] {
	if (hierarchies.mode !== 'v2' || hierarchies.unified === null) return toV1Writes(hierarchies, cgroupPath, resources);
	return toV2Writes(hierarchies.unified.mountpoint, cgroupPath, resources);
}

function toWrites(hierarchies: CgroupHierarchies, cgroupPath: string, resources: ResourceFacts): CgroupWrite[] {
	return [...toSubtree(hierarchies, cgroupPath), ...toResourceWrites(hierarchies, cgroupPath, resources)];
}

function toSubtree(hierarchies: CgroupHierarchies, cgroupPath: string): CgroupWrite[] {
	return hierarchies.mode === 'v2' && hierarchies.unified !== null ? toSubtreeWrites(hierarchies.unified.mountpoint, cgroupPath) : [];
}
