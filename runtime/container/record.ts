import {WrongStateError} from '../../base/errors.js';
import type {IdMaps, ResolvedUser, UserNamespaceSpec} from '../../native/native.js';
import type {Rlimit} from '../spec/rlimits.js';
import {assertReady, type ResourceFacts, type SandboxRecord} from '../sandbox/record.js';

/**
 *   create        start         exit / stop         remove
 *  ────────▶ created ────▶ running ────────▶ exited ────────▶ (gone)
 *                 └─────────── start failed ──────▲
 *
 * `creating` is an intent in the journal: after a crash it is undone, it is never listed.
 */
export type ContainerState =
	| {readonly phase: 'creating'}
	| {readonly phase: 'created'}
	| {readonly phase: 'running'; readonly startedAtNs: bigint}
	| {
			readonly phase: 'exited';
			/** 0n when it never started. */
			readonly startedAtNs: bigint;
			readonly finishedAtNs: bigint;
			readonly exitCode: number;
			/** Completed, Error, OOMKilled, StartError, or Unknown (ended while nobody could see how). */
			readonly reason: string;
			readonly message: string;
	  };

/** A mount as the kubelet asked for it; ContainerStatus.mounts lists these and no others. */
export interface MountFacts {
	readonly containerPath: string;
	readonly hostPath: string;
	readonly readonly: boolean;
	readonly selinuxRelabel: boolean;
	/** MountPropagation of the CRI: 0 private, 1 host-to-container, 2 bidirectional. */
	readonly propagation: 0 | 1 | 2;
	readonly recursiveReadOnly: boolean;
	readonly mountOptions: readonly string[];
	/** null: none. Missing in records of earlier versions, which means the same. */
	readonly idMaps?: IdMaps | null;
	/** Of records of an earlier version, in place of idMaps. */
	readonly idMapping?: UserNamespaceSpec | null;
	/** null: of the host. Missing in records of earlier versions, which means the same. */
	readonly image?: ImageMountFacts | null;
}

/** An image that is mounted. Its layers stay as long as the container. */
export interface ImageMountFacts {
	/** ImageSpec.image as asked. */
	readonly asked: string;
	/** Of the image as it was then: a repo digest, or its id where it has none. */
	readonly digest: string;
	readonly subPath: string;
}

/** Immutable: every change is a new object, so a List reply may cache what it encoded from one. Persisted in the journal. */
export interface ContainerRecord {
	readonly kind: 'container';
	readonly id: string;
	readonly sandboxId: string;
	readonly metadata: {readonly name: string; readonly attempt: number};
	readonly labels: Readonly<Record<string, string>>;
	readonly annotations: Readonly<Record<string, string>>;
	/** ImageSpec.image as asked, for status; user_specified_image besides. */
	readonly image: {readonly asked: string; readonly userSpecified: string; readonly id: string};
	readonly createdAtNs: bigint;
	readonly state: ContainerState;
	/** In the host's PID namespace; 0 once it ended. */
	readonly pid: number;
	/** Absolute; '' = none. */
	readonly logPath: string;
	readonly mounts: readonly MountFacts[];
	readonly resources: ResourceFacts;
	readonly user: ResolvedUser;
	readonly tty: boolean;
	readonly stdin: boolean;
	readonly stdinOnce: boolean;
	/** Number of the stop signal. */
	readonly stopSignal: number;
	readonly privileged: boolean;
	/** cgroupfs path below each hierarchy's root. */
	readonly cgroupPath: string;
	/** Directories whose cgroup.procs an exec joins. */
	readonly cgroupJoin: readonly string[];
	/** Its processes are frozen; for the CRI it runs. Missing in records of earlier versions: it is not. */
	readonly paused?: boolean;
	/** What an exec inherits; its args are replaced. env values are base64 (they need not be UTF-8). */
	readonly exec: ExecFacts;
}

/** What ExecSync and Exec take over from the container's own process. 64-bit masks as bigint. */
export interface ExecFacts {
	readonly envBase64: readonly string[];
	readonly cwd: string;
	readonly user: ResolvedUser;
	readonly capabilities: {
		readonly bounding: bigint;
		readonly effective: bigint;
		readonly permitted: bigint;
		readonly inheritable: bigint;
		readonly ambient: bigint;
	};
	readonly noNewPrivileges: boolean;
	/** Key of the compiled seccomp program in runtime/spec/seccomp's cache; null = unconfined. */
	readonly seccompKey: string | null;
	readonly oomScoreAdj: number | null;
	/** Missing in records of earlier versions: none. */
	readonly rlimits?: readonly Rlimit[];
	readonly apparmorProfile?: string | null;
	readonly selinuxLabel?: string | null;
}

/** @throws {WrongStateError} unless the container is `created` in a `ready` sandbox. */
export function assertStartable(container: ContainerRecord, sandbox: SandboxRecord): void {
	if (container.state.phase !== 'created') throw new WrongStateError('container', container.id, container.state.phase, 'created');
	assertReady(sandbox);
}

/** @throws {WrongStateError} unless it is `created` or running: its streams are there, and one who attaches before the start misses nothing. */
export function assertAttachable(container: ContainerRecord): void {
	const {phase} = container.state;
	if (phase !== 'created' && phase !== 'running') throw new WrongStateError('container', container.id, phase, 'created or running');
}

/** @throws {WrongStateError} unless it is running. */
export function assertRunning(container: ContainerRecord): void {
	if (container.state.phase !== 'running') throw new WrongStateError('container', container.id, container.state.phase, 'running');
}
