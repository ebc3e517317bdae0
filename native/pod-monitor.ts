import type {AttachRequest, AttachSession, ExecRequest, ExecResult, ExecSession} from './command-session.js';
import type {LaunchSpec, LogSpec} from './container-spec.js';
import type {OciLaunch} from './oci-launch.js';

/** One pod's keeper. Calls on one monitor may be issued concurrently; it serves them in order. */
export interface Monitor {
	readonly sandboxId: string;
	readonly pid: number;
	/** Does all set-up and parks the init before its exec. On failure everything is undone and the error names stage and path. */
	createContainer(spec: LaunchSpec): Promise<CreatedContainer>;
	/**
	 * The same, made by an OCI runtime's binary; everything after it is as for any container. A program that cannot be executed is told by startContainer too: pid 0.
	 *
	 * @throws {SyscallError} stage "runtime create", with the binary's words as path: it refused, or was killed at the timeout (ETIMEDOUT).
	 */
	createOciContainer(spec: LaunchSpec, oci: OciLaunch): Promise<CreatedContainer>;
	/** Lets the parked init exec; resolves when exec succeeded. @throws {SyscallError} stage "exec": the init is gone and the exit is reported as usual with 127 (ENOENT) or 126. */
	startContainer(containerId: string): Promise<{readonly startedAtNs: bigint}>;
	/** `all`: every process in the container's cgroup, else its main process. No error when it is gone already. */
	signal(containerId: string, signo: number, all: boolean): Promise<void>;
	/** Forgets an exited or never started container (kills what is left of it): closes its log, removes its cgroups and exit record. Idempotent. */
	removeContainer(containerId: string): Promise<void>;
	/** Opens the log file anew at its path; the new file exists when this resolves. */
	reopenLog(containerId: string): Promise<void>;
	/** Takes up a container whose process another keeper holds (a shim): the monitor writes its log and keeps its end. signal, exec and resize are the keeper's. */
	createForeign(container: ForeignContainer): Promise<ResolvedUser>;
	foreignStarted(containerId: string, pid: number, startedAtNs: bigint): Promise<void>;
	/** The exit is reported as any other, once its output has ended. Idempotent: the first word stays. */
	foreignExited(containerId: string, exit: ExitRecord): Promise<void>;
	/** All containers that the monitor knows: its word wins over the journal. */
	list(): Promise<readonly MonitorContainer[]>;
	/** Runs a command in a running container to its end. `timeoutMs` 0 = none; at the timeout only the exec's own process tree is killed. Never waits on pipes that a background child inherited. */
	execSync(request: ExecRequest, limits: {readonly timeoutMs: number; readonly maxOutputBytes: number}, signal: AbortSignal | null): Promise<ExecResult>;
	/** Runs a command with streams of the caller's. */
	exec(request: ExecRequest & {readonly stdin: boolean}): Promise<ExecSession>;
	/**
	 * Joins a created or running container's streams, besides its log and others who are attached. Nothing that was written before is seen.
	 *
	 * @throws {SyscallError} ENOENT: no such container. ESRCH: it has exited. EBUSY: too many are attached. {UnimplementedError} the monitor is of an earlier version.
	 */
	attach(request: AttachRequest): Promise<AttachSession>;
	/** Kills every container, removes cgroups, sockets and the pod's run directory, ends the monitor. Idempotent. */
	destroy(): Promise<void>;
}

/** Paths are of FIFOs, made when missing; null: there is none. */
export interface ForeignContainer {
	readonly containerId: string;
	readonly log: LogSpec | null;
	readonly stdoutPath: string;
	readonly stderrPath: string | null;
	/** Held open, so that the container's stdin has no end before it is closed. */
	readonly stdinPath: string | null;
	/** Its cgroup is made, in the rootfs its user is looked up and directories of volumes are made; null: nothing of this, root is answered. */
	readonly launch: Pick<LaunchSpec, 'cgroup' | 'rootfs' | 'process' | 'volumeDirs'> | null;
}

export interface CreatedContainer {
	/** In the host's PID namespace. 0: it has no process, and startContainer tells why. */
	readonly pid: number;
	/** As resolved from the image's /etc/passwd and /etc/group within the rootfs. */
	readonly user: ResolvedUser;
}

export interface ResolvedUser {
	readonly uid: number;
	readonly gid: number;
	readonly supplementalGids: readonly number[];
}

export interface MonitorContainer {
	readonly containerId: string;
	readonly pid: number;
	readonly phase: 'created' | 'running' | 'exited';
	/** 0n before start. */
	readonly startedAtNs: bigint;
	/** Present exactly when exited. */
	readonly exit: ExitRecord | null;
}

export interface ExitRecord {
	/** 0-255; 128 + n after signal n. */
	readonly exitCode: number;
	readonly finishedAtNs: bigint;
	readonly oomKilled: boolean;
}
