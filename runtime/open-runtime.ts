import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Clock} from '../base/clock.js';
import {JoinedCalls} from '../base/joined-calls.js';
import {KeyedLock} from '../base/keyed-lock.js';
import type {Logger} from '../base/log.js';
import type {Cni} from '../cni/cni.js';
import type {ImageStore} from '../image/image.js';
import type {ShimWire} from '../proto/shim.js';
import type {ExitRecord, Launcher, LauncherEvents, LauncherOptions, Native} from '../native/native.js';
import {absoluteDirs, openCgroups, type CgroupHierarchies} from './cgroup/hierarchies.js';
import {openDriver} from './cgroup/open-driver.js';
import {Endings} from './container/endings.js';
import {recordExit} from './container/exit.js';
import {EventBus} from './events/bus.js';
import {openHandlers} from './handler/handlers.js';
import type {ShimParts} from './handler/shim-v2/handler.js';
import type {Runtime, RuntimeOptions} from './runtime.js';
import {Monitors} from './sandbox/monitors.js';
import {probeUserNamespaces} from './sandbox/user-namespace-support.js';
import {SeccompCache} from './spec/seccomp.js';
import type {AnyRecord} from './state/codec.js';
import {Journal} from './state/journal.js';
import {recordMonitorLost, recover} from './state/recover.js';
import {StateStore} from './state/store.js';
import {CpuSamples} from './stats/cpu-samples.js';

export interface RuntimeParts {
	readonly native: Native;
	readonly images: ImageStore;
	readonly cni: Cni;
	readonly clock: Clock;
	readonly log: Logger;
	/** The static binary of launcher, monitor and init. */
	readonly launcherBinaryPath: string;
	/** Read when a runtime handler is of type shim-v2. */
	loadShimWire(): ShimWire;
	/** Wished for launcher and monitors; clamped to what is allowed. */
	readonly launcherOomScoreAdj: number;
}

export interface OpenRuntime {
	readonly runtime: Runtime;
	/** What of the journal could not be used, for log and status. */
	readonly damage: readonly {readonly line: number; readonly reason: string; readonly id: string | null}[];
	/** Closes connections and journal; the pods go on. */
	close(): Promise<void>;
}

/**
 * Reads the journal, connects to the launcher (starting it when there is none), and recovers.
 *
 * @throws {CorruptError} the journal is of a newer version. {SyscallError | UnavailableError} the launcher cannot be started.
 */
export async function openRuntime(options: RuntimeOptions, parts: RuntimeParts): Promise<OpenRuntime> {
	const stateDir = join(options.rootDir, 'state');
	await mkdir(stateDir, {recursive: true, mode: 0o700});
	const path = join(stateDir, 'journal');
	const {records, damage} = await Journal.read(path);
	for (const line of damage) parts.log.error({path, ...line}, 'journal line not usable; all others are served');
	const {journal, state} = await openState(path, records.values(), parts);
	const cgroups = await openCgroups();
	const events = new Ups(parts.log);
	const {kernel} = parts.native;
	const cgroupDriver = await openDriver({...options, name: options.cgroupDriver, kernel, cgroups, clock: parts.clock});
	const launcherDirs = cgroupDriver.launcherPath === null ? [] : absoluteDirs(cgroups, cgroupDriver.launcherPath);
	const launcher = await parts.native.openLauncher(launcherOptions(options, parts, launcherDirs), events);
	await cgroupDriver.openLauncher(launcher.pid);
	const userNamespaces = await probeUserNamespaces(options.rootDir, {launcher, kernel: parts.native.kernel, log: parts.log});
	const handlers = await openHandlers(options.handlers, {
		launcher,
		kernel: parts.native.kernel,
		userNamespaces,
		shims: toShimParts(options, parts, {launcher, cgroups}),
	});
	for (const {name, problem} of handlers.list()) if (problem !== null) parts.log.warn({handler: name, problem}, 'runtime handler cannot be used');
	const runtime: Runtime = {
		options,
		launcher,
		kernel: parts.native.kernel,
		handlers,
		monitors: new Monitors(),
		images: parts.images,
		cni: parts.cni,
		state,
		locks: new KeyedLock(),
		creations: new JoinedCalls(),
		endings: new Endings(),
		cgroups,
		cgroupDriver,
		seccomp: new SeccompCache(parts.native.kernel, options.seccompProfilePath, join(options.rootDir, 'seccomp')),
		cpuSamples: new CpuSamples(),
		userNamespaces,
		events: new EventBus(state, parts.clock),
		clock: parts.clock,
		log: parts.log,
	};
	events.runtime = runtime;
	await recover(runtime);
	const close = async (): Promise<void> => {
		await handlers.close();
		launcher.close();
		cgroupDriver.close();
		await journal.close();
	};
	return {runtime, damage, close};
}

/** The boot's id (proc(5), /proc/sys/kernel/random/boot_id): after another boot nothing of a pod lives. */
export async function readBootId(): Promise<string> {
	return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

async function openState(path: string, records: Iterable<AnyRecord>, parts: RuntimeParts): Promise<{readonly journal: Journal; readonly state: StateStore}> {
	let journal: Journal | null = null;
	const state = new StateStore(async entry => await (journal as Journal).append(entry), records);
	journal = await Journal.open(path, {snapshot: () => state.records(), clock: parts.clock, log: parts.log});
	return {journal, state};
}

function launcherOptions(options: RuntimeOptions, parts: RuntimeParts, cgroupDirs: readonly string[]): LauncherOptions {
	return {binaryPath: parts.launcherBinaryPath, runDir: options.runDir, rootDir: options.rootDir, cgroupDirs, oomScoreAdj: parts.launcherOomScoreAdj};
}

function toShimParts(
	options: RuntimeOptions,
	parts: RuntimeParts,
	{launcher, cgroups}: {readonly launcher: Launcher; readonly cgroups: CgroupHierarchies},
): ShimParts {
	const {native, clock, log, launcherBinaryPath, loadShimWire} = parts;
	const {runDir, rootDir} = options;
	return {launcher, kernel: native.kernel, clock, log, cgroups, naming: options, runDir, rootDir, launcherBinaryPath, loadWire: loadShimWire};
}

/** Facts from the monitors, on their way up. They may come as soon as the launcher is connected; recovery reads the same from the monitors' lists. */
class Ups implements LauncherEvents {
	runtime: Runtime | null = null;
	readonly #log: Logger;
	constructor(log: Logger) {
		this.#log = log;
	}

	onExit(_sandboxId: string, containerId: string, exit: ExitRecord): void {
		if (this.runtime === null) return;
		recordExit(this.runtime, containerId, exit).catch((error: unknown) => this.#log.error({err: error, containerId}, 'exit not recorded'));
	}

	onMonitorLost(sandboxId: string): void {
		if (this.runtime === null) return;
		this.#log.error({sandboxId}, 'monitor lost: the pod is ended');
		recordMonitorLost(this.runtime, sandboxId).catch((error: unknown) => this.#log.error({err: error, sandboxId}, 'lost monitor not recorded'));
	}
}
