/** Directories to make, files to write and where to put processes: computed by runtime/cgroup, executed by the monitor. */
export interface CgroupPlan {
	/** Absolute directories, parents first. Made when missing; those that were made are removed again, in reverse, at the end. New v1 cpuset directories inherit cpus and mems. */
	readonly dirs: readonly string[];
	readonly writes: readonly CgroupWrite[];
	/** Directories whose cgroup.procs the process joins: one per hierarchy. */
	readonly join: readonly string[];
	/** eBPF programs of `dirs` in the unified hierarchy; missing: none. */
	readonly programs?: readonly CgroupProgram[];
}

export interface CgroupProgram {
	readonly dir: string;
	/** `device`: asked at each mknod and open of a device. `egress`: sees each packet that the cgroup's processes send. */
	readonly kind: 'device' | 'egress';
	/** struct bpf_insn[]. */
	readonly instructions: Uint8Array;
}

export interface CgroupWrite {
	readonly path: string;
	readonly value: string;
	/** false: a missing file or a refused value is passed over (a controller that the kernel lacks). */
	readonly required: boolean;
}
