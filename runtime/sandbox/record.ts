import type {Attachment} from '../../cni/cni.js';
import {WrongStateError} from '../../base/errors.js';
import type {UserNamespaceSpec} from '../../native/native.js';

/**
 *     run            stop              remove
 *  ────────▶ ready ────────▶ notReady ────────▶ (gone)
 *
 * `creating` is an intent in the journal: after a crash it is undone, it is never listed.
 */
export type SandboxState =
	| {readonly phase: 'creating'}
	| {readonly phase: 'ready'}
	| {readonly phase: 'notReady'; readonly reason: string}
	/** The processes are gone and the network is being taken down; recovery goes on with it. */
	| {readonly phase: 'stopping'};

/** NamespaceMode of the CRI. */
export type NamespaceMode = 'pod' | 'container' | 'node' | 'target';

/** Immutable: every change is a new object, so a List reply may cache what it encoded from one. Persisted in the journal. */
export interface SandboxRecord {
	readonly kind: 'sandbox';
	readonly id: string;
	readonly metadata: {readonly name: string; readonly uid: string; readonly namespace: string; readonly attempt: number};
	readonly labels: Readonly<Record<string, string>>;
	readonly annotations: Readonly<Record<string, string>>;
	readonly runtimeHandler: string;
	readonly createdAtNs: bigint;
	readonly state: SandboxState;
	readonly hostname: string;
	/** '' = no logs. */
	readonly logDirectory: string;
	/** cgroupfs path below each hierarchy's root: "/kubepods/burstable/pod…". */
	readonly cgroupParent: string;
	readonly namespaces: {readonly network: NamespaceMode; readonly pid: NamespaceMode; readonly ipc: NamespaceMode; readonly targetId: string};
	/** null: the node's. */
	readonly userNamespace: UserNamespaceSpec | null;
	readonly privileged: boolean;
	/** null on the host's network. */
	readonly attachment: Attachment | null;
	/** Empty on the host's network. */
	readonly ips: readonly string[];
	/** Host files that are bound over the containers' /etc/hosts etc.: below the sandbox's directory. */
	readonly files: {readonly dir: string};
	/** User and groups, seccomp and the like that the containers do not inherit but status shows; the CRI's PodSandboxConfig as it came, protobuf JSON. */
	readonly config: SandboxConfigFacts;
	/** The boot in which it ran: after another boot nothing of it lives. */
	readonly bootId: string;
}

export interface SandboxConfigFacts {
	readonly dns: {readonly servers: readonly string[]; readonly searches: readonly string[]; readonly options: readonly string[]} | null;
	readonly sysctls: Readonly<Record<string, string>>;
	readonly overhead: ResourceFacts | null;
	readonly resources: ResourceFacts | null;
	/** SELinux label of /dev/shm. Missing in records of earlier versions: none. */
	readonly mountLabel?: string | null;
}

/** LinuxContainerResources of the CRI, as asked; 0 and '' = not specified. int64 as bigint. */
export interface ResourceFacts {
	readonly cpuPeriodUs: bigint;
	readonly cpuQuotaUs: bigint;
	readonly cpuShares: bigint;
	readonly memoryLimitBytes: bigint;
	readonly memorySwapLimitBytes: bigint;
	readonly oomScoreAdj: number;
	readonly cpusetCpus: string;
	readonly cpusetMems: string;
	readonly hugepageLimits: readonly {readonly pageSize: string; readonly limitBytes: bigint}[];
	readonly unified: Readonly<Record<string, string>>;
}

/** @throws {WrongStateError} */
export function assertReady(sandbox: SandboxRecord): void {
	if (sandbox.state.phase !== 'ready') throw new WrongStateError('pod sandbox', sandbox.id, sandbox.state.phase, 'ready');
}
