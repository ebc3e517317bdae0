import type {CgroupPlan} from './cgroup-plan.js';
import type {MountSpec} from './mount-spec.js';

/** Everything the monitor and init need; no decision is left to them. */
export interface LaunchSpec {
	readonly containerId: string;
	readonly namespaces: {
		/** `pod`: the pod-wide one of MonitorRequest.namespaces.pid. `{pid}`: that process's (TARGET). */
		readonly pid: 'new' | 'pod' | 'host' | {readonly pid: number};
		readonly cgroup: 'new' | 'host';
	};
	readonly cgroup: CgroupPlan;
	/** In a pod with a user namespace the layers' files have its ids; `upperDir` must belong to its root. */
	readonly rootfs: RootfsSpec;
	/** In order; targets are paths inside the rootfs, resolved with RESOLVE_IN_ROOT; missing ones are made (files and directories as the source is). */
	readonly mounts: readonly MountSpec[];
	readonly devices: readonly DeviceSpec[];
	/** Made inside the rootfs after the mounts: [link path, target]. Existing ones stay. */
	readonly symlinks: readonly (readonly [string, string])[];
	/** Covered by /dev/null (files) or an empty read-only tmpfs (directories); missing ones are passed over. */
	readonly maskedPaths: readonly string[];
	readonly readonlyPaths: readonly string[];
	readonly process: ProcessSpec;
	readonly log: LogSpec | null;
	/** `pipe`: the monitor keeps the write end (attach). */
	readonly stdin: 'null' | 'pipe';
	/** Image VOLUME paths that no mount covers: a fresh tmpfs is wrong, so they are plain directories of the writable layer, made when missing. */
	readonly volumeDirs: readonly string[];
	/** A time namespace of its own with these offsets of the node's clocks (time_namespaces(7)); null: the node's. */
	readonly timeOffsets: TimeOffsets | null;
	/** SELinux label of the root's files and of its tmpfs; null: none. */
	readonly mountLabel: string | null;
}

/** Nanoseconds. The kernel refuses what would make a clock negative. */
export interface TimeOffsets {
	readonly monotonicNs: bigint;
	readonly boottimeNs: bigint;
}

export interface RootfsSpec {
	/** Topmost first; each a read-only directory below LauncherOptions.rootDir. */
	readonly lowerDirs: readonly string[];
	readonly upperDir: string;
	readonly workDir: string;
	/** Read-only root: set after everything is in place. */
	readonly readonly: boolean;
	/** MS_PRIVATE, MS_SLAVE or MS_SHARED | MS_REC of the container's root. */
	readonly propagation: 'private' | 'slave' | 'shared';
}

export interface DeviceSpec {
	readonly path: string;
	readonly type: 'c' | 'b' | 'p';
	readonly major: number;
	readonly minor: number;
	/** Permission bits. */
	readonly mode: number;
	/** The host's ids, also in a pod with a user namespace. */
	readonly uid: number;
	readonly gid: number;
}

export interface ProcessSpec {
	/** argv; [0] is looked up in PATH of `env` when it has no slash. */
	readonly args: readonly string[];
	/** KEY=value as bytes: values need not be UTF-8. HOME is added from passwd when missing. */
	readonly env: readonly Uint8Array[];
	/** Made (0755) when missing. */
	readonly cwd: string;
	readonly user: UserSpec;
	readonly capabilities: CapabilitySets;
	readonly noNewPrivileges: boolean;
	readonly rlimits: readonly {readonly resource: number; readonly soft: bigint; readonly hard: bigint}[];
	/** null: inherited. Clamped to what is allowed. */
	readonly oomScoreAdj: number | null;
	/** A BPF program (struct sock_filter[]) from compileSeccomp, or null for unconfined. */
	readonly seccomp: Uint8Array | null;
	readonly tty: boolean;
	/** Profile that the kernel has loaded; null: none is set. */
	readonly apparmorProfile: string | null;
	/** user:role:type:level; null: none is set. */
	readonly selinuxLabel: string | null;
}

/** Who runs the process. The names are looked up within the rootfs by the init. */
export interface UserSpec {
	/** "name", "uid", "name:group", "uid:gid" as in the image's USER; '' = root. Ignored where uid is given. */
	readonly spec: string;
	readonly uid: number | null;
	readonly gid: number | null;
	readonly supplementalGids: readonly number[];
	/** merge: also the groups that /etc/group of the image gives the user; strict: only the given ones. */
	readonly groupsPolicy: 'merge' | 'strict';
}

/** Bit n = capability n (linux/capability.h). */
export interface CapabilitySets {
	readonly bounding: bigint;
	readonly effective: bigint;
	readonly permitted: bigint;
	readonly inheritable: bigint;
	readonly ambient: bigint;
}

export interface LogSpec {
	/** Absolute host path of the CRI log file; its directory exists. */
	readonly path: string;
	/** A longer line is split into P fragments. */
	readonly maxLineBytes: number;
}
