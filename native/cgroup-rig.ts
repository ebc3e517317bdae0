import {statfs} from 'node:fs/promises';
import type {CgroupPlan, CgroupWrite} from './native.js';

/** linux/magic.h: CGROUP2_SUPER_MAGIC. */
const CGROUP2_MAGIC = 0x63_67_72_70;
const MOUNT = '/sys/fs/cgroup';

/** This machine has the unified hierarchy alone; otherwise a v1 hierarchy for each controller is expected. */
export const IS_PURE_V2 = (await statfs(MOUNT)).type === CGROUP2_MAGIC;

/** Where tests make their cgroups: the hierarchy of the pids controller, or the unified one. */
export const CGROUP_ROOT = IS_PURE_V2 ? MOUNT : `${MOUNT}/pids`;

/** `dirs`, each in the one before, with the controllers that tests use turned on in them and in the root; v1 has them by its mount. */
export function toParentPlan(dirs: readonly string[]): CgroupPlan {
	const writes = [CGROUP_ROOT, ...dirs].map((dir): CgroupWrite => ({path: `${dir}/cgroup.subtree_control`, value: '+pids +memory', required: true}));
	return {dirs: [...dirs], writes: IS_PURE_V2 ? writes : [], join: []};
}

/** `plan` with a memory limit. `name`: of its directory in v1's memory hierarchy, where it needs one of its own. */
export function withMemoryLimit(plan: CgroupPlan, name: string, limitBytes: number): CgroupPlan {
	const dirs = IS_PURE_V2 ? plan.dirs : [`${MOUNT}/memory/${name}`];
	const limit = dirs.map(
		(dir): CgroupWrite => ({path: `${dir}/${IS_PURE_V2 ? 'memory.max' : 'memory.limit_in_bytes'}`, value: String(limitBytes), required: true}),
	);
	return IS_PURE_V2
		? {...plan, writes: [...plan.writes, ...limit]}
		: {dirs: [...plan.dirs, ...dirs], writes: [...plan.writes, ...limit], join: [...plan.join, ...dirs]};
}
