import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {systemClock} from '../base/clock.js';
import {JoinedCalls} from '../base/joined-calls.js';
import {KeyedLock} from '../base/keyed-lock.js';
import {silentLog} from '../base/log.js';
import type {Kernel} from '../native/native.js';
import {type ContainerConfig__Output, NamespaceMode, type PodSandboxConfig__Output} from '../proto/cri.js';
import {cgroupfsDriver} from './cgroup/driver.js';
import {detectCgroups} from './cgroup/hierarchies.js';
import {Endings} from './container/endings.js';
import {recordExit} from './container/exit.js';
import {type ContainerEvent, EventBus} from './events/bus.js';
import {FakeCni, FakeImages, FakeLauncher, Trace} from './fake-parts.js';
import type {Runtime} from './runtime.js';
import {nativeHandler} from './handler/native-handler.js';
import {RuntimeHandlers} from './handler/handlers.js';
import {Monitors} from './sandbox/monitors.js';
import {SeccompCache} from './spec/seccomp.js';
import {CpuSamples} from './stats/cpu-samples.js';
import type {AnyRecord, Entry} from './state/codec.js';
import {StateStore} from './state/store.js';

export interface FakeRuntime {
	readonly runtime: Runtime;
	readonly trace: Trace;
	readonly launcher: FakeLauncher;
	readonly cni: FakeCni;
	readonly images: FakeImages;
	readonly journal: Entry[];
	readonly events: ContainerEvent[];
	remove(): Promise<void>;
}

/** A runtime over recording fakes of native, cni and image, whose files lie in a temporary directory. */
export async function fakeRuntime(records: readonly AnyRecord[] = []): Promise<FakeRuntime> {
	const rootDir = await mkdtemp(join(tmpdir(), 'runtime-'));
	const trace = new Trace();
	const launcher = new FakeLauncher(trace);
	const cni = new FakeCni(trace);
	const images = new FakeImages(trace);
	const journal: Entry[] = [];
	const events: ContainerEvent[] = [];
	const kernel = {
		makeHostPaths: async () => {},
		pinNetworkNamespace: () => trace.step('kernel.pin'),
		unpinNetworkNamespace: () => trace.step('kernel.unpin'),
		readFiles: async (paths: readonly string[]) => paths.map(() => null),
	} as unknown as Kernel;
	const state = new StateStore(async entry => {
		await trace.step(`journal.${entry.op}`);
		journal.push(entry);
	}, records);
	const bus = new EventBus(state, systemClock);
	bus.subscribe(event => events.push(event));
	const userNamespaces = {supported: true, reason: ''};
	const runtime: Runtime = {
		options: {
			rootDir,
			runDir: join(rootDir, 'run'),
			netnsDir: join(rootDir, 'netns'),
			cgroupRoot: '/berth-test',
			cgroupDriver: 'cgroupfs',
			identity: 'berth',
			busSocketPath: '/none',
			maxLogLineBytes: 16384,
			defaultCapabilities: ['CAP_CHOWN'],
			defaultRlimits: [],
			shmSizeBytes: 64 << 20,
			cdiSpecDirs: [],
			apparmorProfile: '',
			seccompProfilePath: '',
			maxExecOutputBytes: 16 << 20,
			pidsLimit: 0,
			bootId: 'boot-1',
			handlers: [],
			podMetrics: ['cpu', 'memory'],
		},
		launcher,
		kernel,
		handlers: new RuntimeHandlers(launcher, [nativeHandler('', launcher, userNamespaces)]),
		monitors: new Monitors(),
		images: images.asStore(),
		cni,
		state,
		locks: new KeyedLock(),
		creations: new JoinedCalls(),
		endings: new Endings(),
		cgroupDriver: cgroupfsDriver('/berth-test'),
		cgroups: detectCgroups('30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n'),
		seccomp: new SeccompCache(kernel, ''),
		cpuSamples: new CpuSamples(),
		userNamespaces,
		events: bus,
		clock: systemClock,
		log: silentLog,
	};
	launcher.onExit = (containerId, exit) => void recordExit(runtime, containerId, exit);
	return {runtime, trace, launcher, cni, images, journal, events, remove: () => rm(rootDir, {recursive: true, force: true})};
}

/** As @grpc/proto-loader decodes a request that sets little. */
export function sandboxConfig(changes: Partial<PodSandboxConfig__Output> = {}): PodSandboxConfig__Output {
	return {
		metadata: {name: 'web', uid: 'u1', namespace: 'default', attempt: 0},
		hostname: 'web',
		log_directory: '',
		dns_config: null,
		port_mappings: [],
		labels: {},
		annotations: {},
		linux: null,
		windows: null,
		...changes,
	};
}

/** A container that asks for little. */
export function containerConfig(changes: Partial<ContainerConfig__Output> = {}): ContainerConfig__Output {
	return {
		metadata: {name: 'main', attempt: 0},
		image: {image: 'busybox', annotations: {}, user_specified_image: '', runtime_handler: '', image_ref: ''},
		command: [],
		args: [],
		working_dir: '',
		envs: [],
		mounts: [],
		devices: [],
		labels: {},
		annotations: {},
		log_path: '',
		stdin: false,
		stdin_once: false,
		tty: false,
		linux: null,
		windows: null,
		CDI_devices: [],
		stop_signal: 0,
		...changes,
	} as ContainerConfig__Output;
}

/** linux.security_context.namespace_options with this network mode, else all default. */
export function onNetwork(network: NamespaceMode): Pick<PodSandboxConfig__Output, 'linux'> {
	const namespace_options = {network, pid: NamespaceMode.CONTAINER, ipc: NamespaceMode.POD, target_id: '', userns_options: null};
	return {
		linux: {
			cgroup_parent: '',
			security_context: {namespace_options, privileged: false, supplemental_groups: [], seccomp: null, seccomp_profile_path: '', apparmor: null},
			sysctls: {},
			overhead: null,
			resources: null,
		} as never,
	};
}
