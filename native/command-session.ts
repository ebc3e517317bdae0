import type {Readable, Writable} from 'node:stream';
import type {ProcessSpec} from './container-spec.js';
import type {OciText} from './oci-launch.js';

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
	readonly stdin: Writable | null;
	readonly stdout: Readable;
	/** null with a tty. */
	readonly stderr: Readable | null;
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
	readonly stdin: Writable | null;
	/** null unless asked for. Ends when the container closed it or has ended. */
	readonly stdout: Readable | null;
	readonly stderr: Readable | null;
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
