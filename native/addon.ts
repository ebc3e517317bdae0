import {createRequire} from 'node:module';
import {InvalidArgumentError, SyscallError} from '../base/errors.js';
import type {ProcessCount, TreeCount} from './count.js';
import type {UnpackResult} from './native.js';

/** A failed native call. `errno` 0: the caller's value is wrong, and `stage` says how. */
export interface Failure {
	readonly stage: string;
	readonly errno: number;
	readonly path: string;
}
export type Callback<T> = (failure: Failure | null, value: T) => void;

/** A SOCK_SEQPACKET connection. Owns its descriptor. */
export interface RawChannel {
	/** 0 when sent or queued, else an errno and nothing was sent. Takes `fds` over in any case. */
	send(message: Uint8Array, fds: readonly number[]): number;
	close(): void;
}
/** A pipe, socket or terminal. Owns its descriptor. Paused at first. */
export interface RawFdStream {
	read(): void;
	pause(): void;
	/** What is there now, without waiting; stops soon after `maxBytes`. */
	drain(maxBytes: number): Buffer;
	/** One at a time; `chunk` must not change before `onWritten`. Never called when the stream is closed before. */
	write(chunk: Uint8Array, onWritten: (errno: number) => void): void;
	close(): void;
}
export interface RawSeccompProfile {
	readonly defaultAction: string;
	/** -1 = none, as below. */
	readonly defaultErrno: number;
	readonly syscalls: readonly {
		readonly names: readonly string[];
		readonly action: string;
		readonly errno: number;
		readonly args: readonly {readonly index: number; readonly value: bigint; readonly valueTwo: bigint; readonly op: string}[];
	}[];
}

/** One layer (native/unpack). open() first; one step at a time; after a failure only abort(). A failure with errno 0 has its kind as path: corrupt, limit, aborted. */
export interface RawUnpacker {
	open(targetDir: string, compression: string, maxBytes: number, maxInodes: number, callback: Callback<void>): void;
	/** true: there is room for the next piece, and the callback is never called. A failure is told by one of the next steps. */
	write(piece: Uint8Array, callback: Callback<void>): boolean;
	finish(callback: Callback<UnpackResult>): void;
	/** Also while another step waits, which then fails. Called back when nothing works in the directory any more. */
	abort(callback: Callback<void>): void;
}

/** One step at a time. */
export interface RawTreeMeter {
	step(entries: number, callback: Callback<TreeCount>): void;
}

/** build/native/berth.node as it is. Nobody outside native/ calls it. Descriptors are plain numbers; whoever gets one closes it. */
export interface Addon {
	readonly Channel: new (fd: number, onMessage: (message: Buffer, fds: number[]) => void, onClose: (errno: number) => void) => RawChannel;
	/** onRead: errno 0 and null at the end. */
	readonly FdStream: new (
		fd: number,
		onRead: (errno: number, chunk: Buffer | null) => void,
	) => RawFdStream;
	/** Reaps a child of this process; takes the pidfd over. */
	readonly ExitWatch: new (
		pidfd: number,
		onExit: (exitCode: number) => void,
	) => object;
	spawnProgram(path: string, args: readonly string[], env: readonly string[], stdin: Uint8Array, cwd: string, callback: Callback<SpawnedProgram>): void;
	readonly Unpacker: new () => RawUnpacker;
	connect(path: string, timeoutMs: number, callback: Callback<number>): void;
	notify(path: string, state: string, callback: Callback<void>): void;
	openDirectory(path: string, callback: Callback<number>): void;
	/** [read end, write end] */
	pipe(): [number, number];
	/** The two ends of a connection for Channel. */
	socketPair(): [number, number];
	memoryFile(bytes: Uint8Array): number;
	readMemoryFile(fd: number, length: number): Buffer;
	closeFds(fds: readonly number[]): void;
	pinNetworkNamespace(pid: number, path: string, callback: Callback<void>): void;
	unpinNetworkNamespace(path: string, callback: Callback<void>): void;
	/** Detached copies of the mounts at `sources` (`recursive` has a byte for each), then the log directory unless it is ''. */
	openLaunchFiles(sources: readonly string[], recursive: Uint8Array, logDir: string, callback: Callback<number[]>): void;
	/** `diff` and `work` in a new directory, and the record unless it is ''. */
	makeLayer(path: string, mode: number, uid: number, gid: number, record: string, callback: Callback<void>): void;
	/** `logDir` '' = none. */
	makeHostPaths(logDir: string, paths: readonly string[], callback: Callback<void>): void;
	removeTree(path: string, callback: Callback<void>): void;
	readonly TreeMeter: new (path: string) => RawTreeMeter;
	/** What is made in the directory from now on is counted for the project. */
	assignProject(path: string, project: number, callback: Callback<void>): void;
	projectUsages(path: string, projects: readonly number[], callback: Callback<{bytes: number; inodes: number}[]>): void;
	/** Paths of cgroup.procs files. */
	countProcesses(paths: readonly string[], callback: Callback<(ProcessCount | null)[]>): void;
	treeUsage(path: string, callback: Callback<{bytes: number; inodes: number}>): void;
	labelTree(path: string, label: string, callback: Callback<void>): void;
	readFiles(paths: readonly string[], callback: Callback<(Buffer | null)[]>): void;
	writeFile(path: string, value: string, callback: Callback<void>): void;
	inheritDirectories(layerDir: string, lowerDirs: readonly string[], directories: Uint8Array, callback: Callback<void>): void;
	syncFilesystem(path: string, callback: Callback<void>): void;
	/** A connected socket to localhost of a network namespace ('' = the host's). */
	dialPod(netnsPath: string, port: number, timeoutMs: number, callback: Callback<number>): void;
	mountTmpfs(path: string, sizeBytes: number, callback: Callback<void>): void;
	unmountDirectory(path: string, callback: Callback<void>): void;
	/** Makes the FIFO when it is missing; `write` 0 = the reading end, 1 = both, so that it has no end before it is closed. */
	openFifo(path: string, write: 0 | 1, callback: Callback<number>): void;
	/** The descriptor that holds the lock, or -1: somebody else has it. */
	lockFile(path: string, callback: Callback<number>): void;
	compileSeccomp(profile: RawSeccompProfile, architectures: readonly string[], callback: Callback<Buffer>): void;
}
export interface SpawnedProgram {
	readonly pid: number;
	readonly pidfd: number;
	readonly stdout: number;
	readonly stderr: number;
}

export const addon = createRequire(import.meta.url)('./berth.node') as Addon;

/** One native call as a promise. @throws {SyscallError} {InvalidArgumentError} */
export async function callAddon<T>(start: (callback: Callback<T>) => void): Promise<T> {
	return await new Promise((resolve, reject) => {
		start((failure, value) => (failure === null ? resolve(value) : reject(toError(failure))));
	});
}

function toError({stage, errno, path}: Failure): Error {
	return errno === 0 ? new InvalidArgumentError(stage) : new SyscallError(stage, errno, path);
}
