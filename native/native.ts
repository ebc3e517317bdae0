import type {CgroupPlan} from './cgroup-plan.js';
import type {Kernel} from './kernel-calls.js';
import type {ExitRecord, Monitor} from './pod-monitor.js';

/**
 * The whole seam to native code and to the kernel: plain data in, plain data out; `null` for "none", never `undefined`;
 * units in names; nanoseconds are bigint. Whoever calls has validated already. Everything is asynchronous: no call blocks the event loop.
 *
 * Failing syscalls are SyscallError (stage, errno, path); a launcher or monitor that is gone is UnavailableError.
 */

export type {CgroupPlan, CgroupProgram, CgroupWrite} from './cgroup-plan.js';
export type {AttachRequest, AttachSession, ExecRequest, ExecResult, ExecSession} from './command-session.js';
export type {CapabilitySets, DeviceSpec, LaunchSpec, LogSpec, ProcessSpec, RootfsSpec, TimeOffsets, UserSpec} from './container-spec.js';
export type {ProcessCount, TreeCount, TreeMeter} from './count.js';
export type {
	FifoReader,
	FifoWriter,
	FileLock,
	Kernel,
	ProgramRequest,
	ProgramResult,
	SeccompProfile,
	SeccompRule,
	UnpackRequest,
	UnpackResult,
	Unpacker,
} from './kernel-calls.js';
export type {CgroupMountSpec, IdMapRange, IdMaps, MountSpec} from './mount-spec.js';
export type {OciLaunch, OciText} from './oci-launch.js';
export type {CreatedContainer, ExitRecord, ForeignContainer, Monitor, MonitorContainer, ResolvedUser} from './pod-monitor.js';

/** Where the launcher lives and what it may assume of the host. */
export interface LauncherOptions {
	/** The static binary that is launcher, monitor and init in one. Copied into a sealed memfd before it runs. */
	readonly binaryPath: string;
	/** Volatile state, on tmpfs: launcher.sock and pods/<sandbox id>/{monitor.sock,exits/<container id>}. */
	readonly runDir: string;
	/** Persistent state: image layers and writable layers lie below. Visible in the launcher's own mount namespace. */
	readonly rootDir: string;
	/** Absolute cgroup directories (one per hierarchy) that the launcher joins; monitors inherit them. Made when missing. */
	readonly cgroupDirs: readonly string[];
	/** Wished oom_score_adj of launcher and monitors; clamped to what is allowed. */
	readonly oomScoreAdj: number;
}

export interface Native {
	/** Connects to the live launcher of `runDir`, or starts one. Idempotent over daemon restarts. */
	openLauncher(options: LauncherOptions, events: LauncherEvents): Promise<Launcher>;
	readonly kernel: Kernel;
}

/** Facts that come up. Called on the event loop, never before openLauncher resolved. */
export interface LauncherEvents {
	/** The container's process ended; the monitor has written the exit record before. */
	onExit(sandboxId: string, containerId: string, exit: ExitRecord): void;
	/** The pod's monitor is dead (not: the daemon closed the connection). Its containers' processes were killed by the launcher. */
	onMonitorLost(sandboxId: string): void;
}

export interface Launcher {
	readonly pid: number;
	/** Protocol version that both sides speak. */
	readonly protocolVersion: number;
	/** Clones a monitor with new namespaces, waits until it listens, connects. On failure nothing is left. */
	/** @throws {UnimplementedError} a user namespace, and the launcher is of an earlier version. */
	createMonitor(request: MonitorRequest): Promise<Monitor>;
	/** Connects to a monitor that outlived the last daemon; null when there is none alive. */
	findMonitor(sandboxId: string): Promise<Monitor | null>;
	/** Removes what a monitor left that died: run directory, exit records, cgroups. Waits while its processes are dying. Idempotent. @throws {SyscallError} EBUSY: it is alive. */
	forgetPod(sandboxId: string): Promise<void>;
	/** Monitors that are alive, by sandbox id. */
	listMonitors(): Promise<readonly string[]>;
	/** Closes the connections; launcher, monitors and containers go on. */
	close(): void;
	/** Ends the launcher, which must have no monitors (tests, wipe). */
	shutdown(): Promise<void>;
}

export interface MonitorRequest {
	readonly sandboxId: string;
	/** true: a new one for the pod; false: the host's. `pid`: the monitor's own init is PID 1 of a pod-wide PID namespace. */
	readonly namespaces: {readonly network: boolean; readonly ipc: boolean; readonly uts: boolean; readonly pid: boolean};
	/** Set in a new UTS namespace; null leaves it. */
	readonly hostname: string | null;
	/** Names with dots ("net.ipv4.ip_unprivileged_port_start"). Written from within the pod's namespaces. */
	readonly sysctls: readonly (readonly [string, string])[];
	/** Size of the pod's own /dev/shm; null: containers see the host's. */
	readonly shmSizeBytes: number | null;
	/** Pod-level cgroup: dirs and writes, join is empty. */
	readonly cgroup: CgroupPlan;
	/** The pod's own, which owns its other new namespaces; its containers run in it. null: the host's. */
	readonly userNamespace: UserNamespaceSpec | null;
	/** SELinux label of /dev/shm; null: none. */
	readonly mountLabel: string | null;
}

/** Ids of a pod's user namespace (user_namespaces(7)): 0 to `count` - 1 inside are the host's from `first` on. */
export interface IdRange {
	readonly first: number;
	readonly count: number;
}

export interface UserNamespaceSpec {
	readonly uids: IdRange;
	readonly gids: IdRange;
}
