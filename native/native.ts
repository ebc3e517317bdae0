import type {ProcessCount, TreeMeter} from './count.js';
import type {MountSpec} from './mount-spec.js';

export type {ProcessCount, TreeCount, TreeMeter} from './count.js';

/**
 * The whole seam to native code and to the kernel: plain data in, plain data out; `null` for "none", never `undefined`;
 * units in names; nanoseconds are bigint. Whoever calls has validated already. Everything is asynchronous: no call blocks the event loop.
 *
 * Failing syscalls are SyscallError (stage, errno, path); a launcher or monitor that is gone is UnavailableError.
 */

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

export type {CgroupMountSpec, IdMapRange, IdMaps, MountSpec} from './mount-spec.js';

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

export interface ExitRecord {
	/** 0-255; 128 + n after signal n. */
	readonly exitCode: number;
	readonly finishedAtNs: bigint;
	readonly oomKilled: boolean;
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

/** What an OCI runtime's binary is called with. */
export interface OciLaunch {
	/** Absolute, in the daemon's mount namespace. */
	readonly binaryPath: string;
	/** Global options, before the command. */
	readonly options: readonly string[];
	/** A call of the binary that takes longer is killed. */
	readonly timeoutMs: number;
	readonly config: OciText;
}
/**
 * JSON for an OCI runtime, with gaps: 'bundle' is the inside of a string, the bundle's directory, which has rootfs, mounts/<n> for the n-th of
 * LaunchSpec.mounts (bind, shm, image), and pidns for a PID namespace that is joined; 'user' is an object, the user as resolved in the rootfs;
 * 'home' is a string, "HOME=" and that user's directory; 'mountOptions' are
 * one or more strings: the options of mounts/<n>, each time those of the next n that there is.
 */
export type OciText = readonly {readonly text: string; readonly insert: 'bundle' | 'user' | 'home' | 'mountOptions' | null}[];

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

export interface ExecRequest {
	readonly containerId: string;
	readonly execId: string;
	readonly process: ProcessSpec;
	/** The container's cgroup directories (CgroupPlan.join of its launch). */
	readonly cgroupJoin: readonly string[];
	/** In a container of an OCI runtime, and only there: the process as its binary takes it. */
	readonly oci?: OciText;
}
export interface ExecResult {
	readonly exitCode: number;
	readonly stdout: Uint8Array;
	readonly stderr: Uint8Array;
	/** The output was cut at maxOutputBytes. */
	readonly truncated: boolean;
	/** The timeout fired and the exec's tree was killed; exitCode is 137 then. */
	readonly timedOut: boolean;
}
export interface ExecSession {
	readonly pid: number;
	/** null unless asked for. With a tty it is the terminal. */
	readonly stdin: import('node:stream').Writable | null;
	readonly stdout: import('node:stream').Readable;
	/** null with a tty. */
	readonly stderr: import('node:stream').Readable | null;
	/** Resolves when the process ended and what it wrote before has been read from the pipes. */
	readonly exited: Promise<number>;
	resize(columns: number, rows: number): void;
	/** Kills the exec's process tree. */
	kill(): void;
}

export interface AttachRequest {
	readonly containerId: string;
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
	/** With `stdin`: the container's stdin is closed for good when this attachment ends, however it ends. */
	readonly stdinOnce: boolean;
}
export interface AttachSession {
	/** The container has a terminal: its output is `stdout`. */
	readonly tty: boolean;
	/** null: not asked for, or the container has none, or it is closed already. */
	readonly stdin: import('node:stream').Writable | null;
	/** null unless asked for. Ends when the container closed it or has ended. */
	readonly stdout: import('node:stream').Readable | null;
	readonly stderr: import('node:stream').Readable | null;
	/**
	 * Resolves when the container has ended and what it wrote is in `stdout` and `stderr`, with the bytes that are missing there because they were read too slowly: more
	 * than 1 MiB late without a log, or after its file was exchanged twice, or the container removed. Rejects with UnavailableError when the monitor is lost.
	 */
	readonly ended: Promise<number>;
	/** Of the container's terminal. */
	resize(columns: number, rows: number): void;
	/** Closes the container's stdin for good, for all who are attached. Nothing with a terminal. */
	closeStdin(): Promise<void>;
	/** Leaves; the container goes on. `ended` never settles then. Idempotent. */
	detach(): Promise<void>;
}

/** Syscalls that Node lacks, run on the thread pool of the addon. */
export interface Kernel {
	/** Bind-mounts /proc/<pid>/ns/net on `path` (made when missing) in the daemon's mount namespace. */
	pinNetworkNamespace(pid: number, path: string): Promise<void>;
	/** Unmounts and removes the pin. Idempotent. */
	unpinNetworkNamespace(path: string): Promise<void>;
	/** Runs a program (a CNI plugin) with vfork-like cost; resolves at its end. The whole process group is killed at the timeout or on abort. */
	runProgram(request: ProgramRequest, signal: AbortSignal | null): Promise<ProgramResult>;
	/** Removes a tree without following anything out of it. Idempotent. Crosses no mount point. */
	removeTree(path: string): Promise<void>;
	/** A tmpfs of mode 1777, no suid, devices or programs, at the directory, which is made when missing. EEXIST: one is there. */
	mountTmpfs(path: string, sizeBytes: number): Promise<void>;
	/** Takes all mounts off a directory and removes it. Idempotent. */
	unmountDirectory(path: string): Promise<void>;
	/** Makes the FIFO (mode 0600) when it is missing. Its stream ends when a writer came and all are gone. Follows no symlink. */
	openFifoReader(path: string): Promise<FifoReader>;
	/** The same for writing; what is written before a reader comes stays in the FIFO, and waits once that is full. */
	openFifoWriter(path: string): Promise<FifoWriter>;
	/** Contents of many small files (cgroup statistics) in one pass; null for one that cannot be read. */
	readFiles(paths: readonly string[]): Promise<readonly (Uint8Array | null)[]>;
	/**
	 * Writes to a file that is there (of a cgroup, of /proc) by one write(2). May take its time: a memory limit is waited for until the memory is given back.
	 *
	 * @throws {SyscallError} stage "write".
	 */
	writeFile(path: string, value: string): Promise<void>;
	/** Unpacks one layer, see native/unpack. */
	openUnpacker(request: UnpackRequest): Promise<Unpacker>;
	/**
	 * Gives directories of an unpacked layer (UnpackResult.unnamedDirectories) owner, mode, xattrs and time of what they merge with in the layers below (topmost
	 * first), as overlay shows it: not through whiteouts, opaque directories or links. Those that nothing below has stay as they are.
	 */
	inheritDirectories(layerDir: string, lowerDirs: readonly string[], directories: Uint8Array): Promise<void>;
	/** Compiles a profile by libseccomp into a BPF program. @throws {InvalidArgumentError} naming what is wrong. */
	compileSeccomp(profile: SeccompProfile): Promise<Uint8Array>;
	/** syncfs(2) of the filesystem that holds `path`. */
	syncFilesystem(path: string): Promise<void>;
	/** Counts like treeUsage, in pieces, so that the caller sets the pace. What moves or goes meanwhile is passed over. */
	openTreeMeter(path: string): TreeMeter;
	/** Project quota: what is made in the directory from now on, at any depth, is counted for the project. @throws {SyscallError} the filesystem has none. */
	assignProject(path: string, project: number): Promise<void>;
	/**
	 * What the filesystem that holds `path` counts for each project.
	 *
	 * @throws {SyscallError} ESRCH: it has no project quota, or it is off; ENOSYS: the kernel is older than 5.14.
	 */
	projectUsages(path: string, projects: readonly number[]): Promise<readonly {readonly bytes: number; readonly inodes: number}[]>;
	/** Processes of cgroups, by their cgroup.procs files; null for one that cannot be read. Of a cgroup with many processes or descriptors not all are looked at. */
	countProcesses(paths: readonly string[]): Promise<readonly (ProcessCount | null)[]>;
	/** Bytes and inodes below `path` (walks; not for hot paths), hard links counted once. */
	treeUsage(path: string): Promise<{readonly bytes: number; readonly inodes: number}>;
	/** Sets security.selinux of `path` and all below it. Follows no link; mounts below are left as they are. Missing: no error. */
	labelTree(path: string, label: string): Promise<void>;
	/**
	 * Connects to a TCP port on localhost (127.0.0.1, else ::1) of the network namespace pinned at `netnsPath`; null: the host's. The caller ends the socket.
	 *
	 * @throws {SyscallError} ECONNREFUSED: nobody listens. ETIMEDOUT.
	 */
	dialPod(netnsPath: string | null, port: number, timeoutMs: number): Promise<import('node:net').Socket>;
	/** flock(2), exclusive: makes `path` (0600) when missing, follows no link there. null: another open file holds it. The kernel releases it with its holder. */
	lockFile(path: string): Promise<FileLock | null>;
	/** Sends a datagram to $NOTIFY_SOCKET's path; '@' in front means abstract. */
	notifySystemd(socketPath: string, state: string): Promise<void>;
}

export interface FileLock {
	/** Idempotent. The file stays: a lock on a removed file would keep nobody out. */
	release(): void;
}

/** An end of a FIFO. `end` hands on what is there, ends the stream and closes; idempotent. */
export interface FifoReader {
	readonly stream: import('node:stream').Readable;
	end(): void;
}
export interface FifoWriter {
	readonly stream: import('node:stream').Writable;
	end(): void;
}

export interface ProgramRequest {
	/** Absolute. */
	readonly path: string;
	readonly args: readonly string[];
	/** KEY=value. */
	readonly env: readonly string[];
	readonly stdin: Uint8Array;
	/** Absolute; null = the daemon's. */
	readonly cwd: string | null;
	/** 0 = none. */
	readonly timeoutMs: number;
	/** stdout and stderr are cut at this. */
	readonly maxOutputBytes: number;
}
export interface ProgramResult {
	/** 128 + n after signal n. */
	readonly exitCode: number;
	readonly stdout: Uint8Array;
	readonly stderr: Uint8Array;
	readonly timedOut: boolean;
}

export interface UnpackRequest {
	/** An empty directory. What is unpacked cannot leave it: docs/decisions/0009-unpacker-thread.md. */
	readonly targetDir: string;
	readonly compression: 'none' | 'gzip' | 'zstd';
	/** Whiteouts become overlay ones: a 0/0 character device, and trusted.overlay.opaque=y. */
	readonly maxBytes: number;
	readonly maxInodes: number;
}
export interface Unpacker {
	/** Takes a piece of the compressed stream; resolves when there is room for the next one (back-pressure). Rejects with what any earlier piece met. */
	write(chunk: Uint8Array): Promise<void>;
	/** The stream ended: checks that the archive is whole, resolves with the sums. */
	finish(): Promise<UnpackResult>;
	/** Stops the work; the target directory is then the caller's to remove. Idempotent. */
	abort(): Promise<void>;
}
export interface UnpackResult {
	/** sha256:… of the stream as it was written. */
	readonly digest: string;
	readonly compressedBytes: number;
	/** sha256:… of the uncompressed stream. */
	readonly diffId: string;
	readonly uncompressedBytes: number;
	/** Disk use of the unpacked tree. */
	readonly diskBytes: number;
	readonly inodes: number;
	/** The layer hides all lower ones (".wh..wh..opq" in its root). Overlay does not look at the mark there: layers below must not be stacked. */
	readonly opaqueRoot: boolean;
	/**
	 * Directories that no entry names but that others lie in ("." among them), each ended by a NUL byte, parents first: made as root's, 0755. Their looks are for the
	 * layers below to say (inheritDirectories).
	 */
	readonly unnamedDirectories: Uint8Array;
	/** ABI of the Landlock rules that the writing thread was under; 0: the kernel has none (or it is not in its `lsm=`), and the other walls stood alone. */
	readonly landlockVersion: number;
}

/** The runtime-spec's LinuxSeccomp, after the container's capabilities and the architecture chose among the profile's rules. */
export interface SeccompProfile {
	/** SCMP_ACT_*. */
	readonly defaultAction: string;
	readonly defaultErrno: number | null;
	/** SCMP_ARCH_*; the native one is always added. */
	readonly architectures: readonly string[];
	readonly syscalls: readonly SeccompRule[];
}
export interface SeccompRule {
	/** Names unknown to libseccomp are passed over. */
	readonly names: readonly string[];
	readonly action: string;
	readonly errno: number | null;
	/** SCMP_CMP_*; values as bigint. */
	readonly args: readonly {readonly index: number; readonly value: bigint; readonly valueTwo: bigint; readonly op: string}[];
}
