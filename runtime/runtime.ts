import type {Clock} from '../base/clock.js';
import type {JoinedCalls} from '../base/joined-calls.js';
import type {KeyedLock} from '../base/keyed-lock.js';
import type {Logger} from '../base/log.js';
import type {Cni} from '../cni/cni.js';
import type {ImageStore} from '../image/image.js';
import type {Kernel, Launcher} from '../native/native.js';
import type {CgroupDriver} from './cgroup/driver.js';
import type {CgroupHierarchies} from './cgroup/hierarchies.js';
import type {Identity} from './cgroup/names.js';
import type {Endings} from './container/endings.js';
import type {EventBus} from './events/bus.js';
import type {HandlerOptions} from './handler/handler.js';
import type {RuntimeHandlers} from './handler/handlers.js';
import type {Monitors} from './sandbox/monitors.js';
import type {UserNamespaceSupport} from './sandbox/user-namespace-support.js';
import type {Rlimit} from './spec/rlimits.js';
import type {SeccompCache} from './spec/seccomp.js';
import type {StateStore} from './state/store.js';
import type {CpuSamples} from './stats/cpu-samples.js';
import type {MetricGroup} from './stats/metrics/descriptors.js';

/** Filled by server/config.ts. */
export interface RuntimeOptions {
	/** Persistent: the journal, sandboxes' files. */
	readonly rootDir: string;
	/** Volatile, on tmpfs: sockets, exit records. */
	readonly runDir: string;
	/** Where pods' network namespaces are pinned ("/run/netns"). */
	readonly netnsDir: string;
	/** The cgroup below which pods without a cgroup_parent go, and launcher and monitors ("/berth"). */
	readonly cgroupRoot: string;
	readonly cgroupDriver: CgroupDriver['name'];
	/** For whom cAdvisor is to take the daemon: it tells containers by the names of their cgroups. */
	readonly identity: Identity;
	/** Where the systemd driver finds the system's D-Bus. */
	readonly busSocketPath: string;
	readonly maxLogLineBytes: number;
	/** Capabilities of an unprivileged container that asks for nothing: "CAP_CHOWN", … */
	readonly defaultCapabilities: readonly string[];
	/** Of every container and exec. */
	readonly defaultRlimits: readonly Rlimit[];
	/** Of a pod's /dev/shm without an annotation. */
	readonly shmSizeBytes: number;
	/** Directories of CDI specifications; the later wins. */
	readonly cdiSpecDirs: readonly string[];
	/** AppArmor profile of RuntimeDefault; '' = none. */
	readonly apparmorProfile: string;
	/** JSON file of the default seccomp profile (containers/common form); '' = the built-in one. */
	readonly seccompProfilePath: string;
	/** ExecSync keeps at most this of each stream. */
	readonly maxExecOutputBytes: number;
	/** Processes and threads of a container that asks for no limit itself; 0: no limit. */
	readonly pidsLimit: number;
	readonly bootId: string;
	/** Besides the default, which is native. */
	readonly handlers: readonly HandlerOptions[];
	/** Which metrics of pods ListPodSandboxMetrics has. */
	readonly podMetrics: readonly MetricGroup[];
}

/** What every operation needs. Built once, in server/main.ts. */
export interface Runtime {
	readonly options: RuntimeOptions;
	readonly launcher: Launcher;
	readonly kernel: Kernel;
	readonly handlers: RuntimeHandlers;
	readonly monitors: Monitors;
	readonly images: ImageStore;
	readonly cni: Cni;
	readonly state: StateStore;
	/** Per pod sandbox id or container id. Order: pod sandbox, then container. */
	readonly locks: KeyedLock;
	/** RunPodSandbox and CreateContainer in flight, by name. */
	readonly creations: JoinedCalls<string>;
	/** Containers that are being stopped or killed: not to be paused. */
	readonly endings: Endings;
	readonly cgroups: CgroupHierarchies;
	readonly cgroupDriver: CgroupDriver;
	readonly seccomp: SeccompCache;
	readonly cpuSamples: CpuSamples;
	readonly userNamespaces: UserNamespaceSupport;
	readonly events: EventBus;
	readonly clock: Clock;
	readonly log: Logger;
}
