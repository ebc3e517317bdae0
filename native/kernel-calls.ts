import type {Socket} from 'node:net';
import type {Readable, Writable} from 'node:stream';
import type {ProcessCount, TreeMeter} from './count.js';

/** Syscalls that Node lacks, run on the thread pool of the addon. */
export interface Kernel {
	/** Bind-mounts /proc/<pid>/ns/net on `path` (made when missing) in the daemon's mount namespace. */
	pinNetworkNamespace(pid: number, path: string): Promise<void>;
	/** Unmounts and removes the pin. Idempotent. */
	unpinNetworkNamespace(path: string): Promise<void>;
	/** Runs a program (a CNI plugin) with vfork-like cost; resolves at its end. The whole process group is killed at the timeout or on abort. */
	runProgram(request: ProgramRequest, signal: AbortSignal | null): Promise<ProgramResult>;
	/**
	 * A new directory (mode 0711) for overlay, in one piece of work: `diff`, its upper one, that looks so, `work`, and the file `snapshot.json` unless `record` is null.
	 *
	 * @throws {SyscallError} stage "make layer", EEXIST: it is there. What was made of it stays.
	 */
	makeLayer(path: string, upper: {readonly mode: number; readonly uid: number; readonly gid: number}, record: string | null): Promise<void>;
	/**
	 * Makes directories (mode 0755) with what is missing above them, where nothing is: a log's, and those of mounts. None when one of `paths` cannot be looked at.
	 *
	 * @throws {SyscallError} stage "mounts.host_path stat", "mounts.host_path mkdir" or "log_path mkdir".
	 */
	makeHostPaths(logDir: string | null, paths: readonly string[]): Promise<void>;
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
	dialPod(netnsPath: string | null, port: number, timeoutMs: number): Promise<Socket>;
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
	readonly stream: Readable;
	end(): void;
}

export interface FifoWriter {
	readonly stream: Writable;
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
