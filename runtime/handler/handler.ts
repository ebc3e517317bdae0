import type {CreatedContainer, LaunchSpec, Monitor, MonitorRequest, SeccompProfile} from '../../native/native.js';
import type {DeviceRules} from '../cgroup/device-rules.js';
import type {ResourceFacts, SandboxRecord} from '../sandbox/record.js';

/** Filled by server/config.ts, one for each table [runtime.handlers.<name>]. */
export interface HandlerOptions {
	/** What runtime_handler of RunPodSandbox (a RuntimeClass's handler) names; never "". */
	readonly name: string;
	readonly type: HandlerType;
	/** Absolute path of the runtime's binary; '' for the native type. */
	readonly path: string;
	/** Global options, put before the runtime's command. */
	readonly options: readonly string[];
	/** A call of the runtime's binary is killed then. */
	readonly timeoutMs: number;
}
export type HandlerType = 'native' | 'oci' | 'shim-v2';

/** RuntimeHandlerFeatures of the CRI: announced exactly when CreateContainer and RunPodSandbox do it. */
export interface HandlerFeatures {
	readonly recursiveReadOnlyMounts: boolean;
	readonly userNamespaces: boolean;
}

/** A way to run pods, chosen by runtime_handler. A pod keeps the one that it was made with, and so do its containers. */
export interface RuntimeHandler {
	/** '' is the default. */
	readonly name: string;
	readonly type: HandlerType;
	readonly features: HandlerFeatures;
	/** Why it cannot make pods on this node (its binary is missing, say); null: it can. */
	readonly problem: string | null;
	/** Makes the pod of a record that is about to be: namespaces, cgroup, and what keeps them. On failure nothing is left. */
	createPod(record: SandboxRecord, request: MonitorRequest): Promise<PodRuntime>;
	/** The pod that an earlier daemon made, also when `problem` is set; null: nothing of it is alive. */
	findPod(record: SandboxRecord): Promise<PodRuntime | null>;
	/** Removes what is left of a pod of which nothing is alive any more. Idempotent. */
	forgetPod(record: SandboxRecord): Promise<void>;
}

/**
 * One pod as its handler runs it: what a native Monitor does (native.ts says how each call behaves), whatever does it. A Monitor is one.
 * It outlives the daemon; exits come up by LauncherEvents.
 */
export interface PodRuntime extends Omit<Monitor, 'createContainer' | 'createOciContainer' | 'createForeign' | 'foreignStarted' | 'foreignExited'> {
	createContainer(spec: LaunchSpec, facts: LaunchFacts): Promise<CreatedContainer>;
	/** Besides the container's cgroup, for runtimes whose containers are not in it (a virtual machine's). All that holds from now on. */
	updateResources?(containerId: string, resources: ResourceFacts): Promise<void>;
	/** In place of the freezer; idempotent both. */
	pause?(containerId: string): Promise<void>;
	resume?(containerId: string): Promise<void>;
	/** The pod's network is there (or is the host's): what waits for it may begin. On failure destroy() undoes it. */
	whenNetworked?(): Promise<void>;
}

/** What a LaunchSpec has in the kernel's words, in those of the CRI: for runtimes that do these things themselves. */
export interface LaunchFacts {
	/** Below each hierarchy's root. */
	readonly cgroupPath: string;
	readonly resources: ResourceFacts;
	readonly deviceRules: DeviceRules;
	/** What LaunchSpec.process.seccomp was compiled from; null: unconfined. */
	readonly seccomp: SeccompProfile | null;
}
