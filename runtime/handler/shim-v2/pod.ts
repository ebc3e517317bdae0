import {join} from 'node:path';
import type {Clock} from '../../../base/clock.js';
import {CancelledError, SyscallError, TimedOutError, UnavailableError} from '../../../base/errors.js';
import type {Logger} from '../../../base/log.js';
import type {
	AttachRequest,
	AttachSession,
	CreatedContainer,
	ExecRequest,
	ExecResult,
	ExecSession,
	FifoReader,
	Kernel,
	LaunchSpec,
	Monitor,
	MonitorContainer,
} from '../../../native/native.js';
import type {Any, ShimWire} from '../../../proto/shim.js';
import type {ResourceFacts, SandboxRecord} from '../../sandbox/record.js';
import type {HandlerOptions, LaunchFacts, PodRuntime} from '../handler.js';
import {toJson} from '../oci/spec.js';
import {Bundles} from './bundles.js';
import {toExecFailure} from './exec-failure.js';
import {execByShim, execSyncByShim, type ExecPlace} from './exec.js';
import {saveHandler} from './saved-handler.js';
import {deleteShim, startShim, type ShimBinary, type TaskExit} from './shim.js';
import {toPauseSpec, toResources, toShimSpec, type PodPlace} from './spec.js';
import {ShimTasks} from './tasks.js';
import {TtrpcStatusError} from './ttrpc.js';

const SIGKILL = 9;
const RESOURCES_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources';
/** Of the task service. */
const TaskStatus = {paused: 4} as const;
/** A shim that does not answer at once holds up the start of no daemon: its pod is found again when it is stopped. */
const FIRST_ANSWER_MS = 5000;
/** For the shim to take up an exit. */
const PAUSED_END_MS = 2000;
const KILLED_EXIT_CODE = 137;
const KILL_TIMEOUT_MS = 10_000;

/** What all pods of one handler share. */
export interface ShimHost {
	readonly kernel: Kernel;
	readonly clock: Clock;
	readonly log: Logger;
	readonly wire: ShimWire;
	readonly binary: ShimBinary;
	readonly runDir: string;
	/** Kept with each pod, which must be ended when the config has it no more. */
	readonly handler: HandlerOptions;
	/** Given with each task; null: the runtime's own. */
	readonly options: Any | null;
	/** Has the one program "pause". */
	readonly pauseDir: string;
	/** Of a pod's cgroup, in each hierarchy, where the shim itself goes. */
	shimCgroups(record: SandboxRecord): readonly string[];
	/** In a pod's cgroup, where its first process goes. */
	pauseCgroupName(record: SandboxRecord): string;
	/** Whether the shim has told that the task was out of memory. Asked once, at its end. */
	takeOom(taskId: string): boolean;
}

/**
 * A pod whose processes a shim keeps (containerd's protocol): a task for the pod, which only waits, and one for each container. Namespaces,
 * logs and exits are the pod's monitor's, as natively, and survive the daemon; so does the shim.
 */
export class ShimPod implements PodRuntime {
	readonly #host: ShimHost;
	readonly #record: SandboxRecord;
	readonly #monitor: Monitor | null;
	readonly #bundles: Bundles;
	#tasks: ShimTasks | null = null;
	#pausePid = 0;
	#shimLog: FifoReader | null = null;
	/** It is being ended: that its tasks end is no news. */
	#ending = false;
	/** Containers whose program cannot be executed: the runtime found that at creation, StartContainer tells. */
	readonly #doomed = new Map<string, SyscallError>();

	readonly #shmSizeBytes: number;

	/** @param own `shmSizeBytes` null: a default; only a new pod's counts. */
	constructor(host: ShimHost, record: SandboxRecord, own: {readonly monitor: Monitor | null; readonly shmSizeBytes: number | null}) {
		this.#host = host;
		this.#record = record;
		this.#monitor = own.monitor;
		this.#shmSizeBytes = own.shmSizeBytes ?? DEFAULT_SHM_BYTES;
		this.#bundles = new Bundles(host.runDir, record.id, host.kernel);
	}

	get sandboxId(): string {
		return this.#record.id;
	}
	get pid(): number {
		return this.#monitor?.pid ?? 0;
	}

	/** Starts the shim with the pod's own task: a virtual machine looks at the network now. On failure destroy() clears up. */
	async whenNetworked(): Promise<void> {
		const {kernel, wire, binary, options, clock} = this.#host;
		const id = this.#record.id;
		await kernel.mountTmpfs(this.#bundles.shmDir, this.#shmSizeBytes);
		const bundleDir = await this.#bundles.make(id, toPauseSpec(this.#place()));
		await saveHandler(this.#host.runDir, id, this.#host.handler);
		await this.#openLog();
		const address = await startShim(kernel, wire, binary, {id, bundleDir});
		await this.#bundles.writeAddress(address);
		this.#use(await ShimTasks.connect(address, wire, clock));
		const rootfs = [{type: 'bind', source: this.#host.pauseDir, options: ['rbind', 'ro']}];
		this.#pausePid = await this.#shim().create({id, bundle: bundleDir, rootfs, options});
		await this.#shim().start({id, execId: ''});
		await this.#moveShim();
	}

	/** Takes up the shim of an earlier daemon. What has ended meanwhile is told by events. */
	async reconnect(): Promise<void> {
		const address = await this.#bundles.readAddress();
		if (address === null) return;
		try {
			await this.#openLog();
			this.#use(await ShimTasks.connect(address, this.#host.wire, this.#host.clock));
			this.#pausePid = (await this.#shim().state(this.#record.id, FIRST_ANSWER_MS))?.pid ?? 0;
			for (const {containerId, phase} of (await this.#monitor?.list()) ?? []) if (phase !== 'exited') await this.#watchAgain(containerId);
		} catch (error) {
			if (!(error instanceof UnavailableError)) throw error;
			await this.#lost();
		}
	}

	async createContainer(spec: LaunchSpec, facts: LaunchFacts): Promise<CreatedContainer> {
		const {containerId: id} = spec;
		const dir = this.#bundles.dirOf(id);
		const tty = spec.process.tty;
		const io = {stdoutPath: join(dir, 'stdout'), stderrPath: tty ? null : join(dir, 'stderr'), stdinPath: spec.stdin === 'pipe' ? join(dir, 'stdin') : null};
		await this.#bundles.make(id, {});
		const user = await this.#keeper().createForeign({containerId: id, log: spec.log, ...io, launch: spec});
		await this.#bundles.make(id, toShimSpec(spec, facts, {pod: this.#place(), user, home: 'HOME=/'}));
		const {lowerDirs, upperDir, workDir} = spec.rootfs;
		const overlay = [`lowerdir=${lowerDirs.join(':')}`, `upperdir=${upperDir}`, `workdir=${workDir}`];
		try {
			const pid = await this.#shim().create({
				id,
				bundle: dir,
				rootfs: [{type: 'overlay', source: 'overlay', options: overlay}],
				terminal: tty,
				stdin: io.stdinPath ?? '',
				stdout: io.stdoutPath,
				stderr: io.stderrPath ?? '',
				options: this.#host.options,
			});
			void this.#watch(id);
			return {pid, user};
		} catch (error) {
			const doom = toExecFailure(error, spec.process.args[0] ?? '');
			if (doom === null) throw error;
			this.#doomed.set(id, doom);
			return {pid: 0, user};
		}
	}

	async startContainer(containerId: string): Promise<{readonly startedAtNs: bigint}> {
		const doom = this.#doomed.get(containerId);
		if (doom !== undefined) throw doom;
		const pid = await this.#shim().start({id: containerId, execId: ''});
		const startedAtNs = this.#host.clock.nowNs();
		await this.#keeper().foreignStarted(containerId, pid, startedAtNs);
		return {startedAtNs};
	}

	async signal(containerId: string, signo: number, all: boolean): Promise<void> {
		if (this.#doomed.has(containerId)) return await this.#endDoomed(containerId);
		// Its tasks were not ended when the shim was lost (its binary failed, say): once more, or nobody could ever stop the pod.
		if (this.#tasks === null) return await this.#lost();
		await this.#shim().kill({id: containerId, execId: ''}, signo, all);
	}

	async removeContainer(containerId: string): Promise<void> {
		await this.#removeTask(containerId);
		await this.#monitor?.removeContainer(containerId);
		this.#doomed.delete(containerId);
		await this.#bundles.remove(containerId);
	}

	async updateResources(containerId: string, resources: ResourceFacts): Promise<void> {
		await this.#shim().update(containerId, {type_url: RESOURCES_TYPE, value: Buffer.from(toJson(toResources(resources)))});
	}

	async pause(containerId: string): Promise<void> {
		if (!(await this.#isPaused(containerId))) await this.#shim().pause(containerId);
	}

	async resume(containerId: string): Promise<void> {
		if (!(await this.#isPaused(containerId))) return;
		try {
			await this.#shim().resume(containerId);
		} catch (error) {
			if (!(error instanceof TtrpcStatusError) || !(await this.#endsPaused(containerId))) throw error;
		}
	}

	async #isPaused(containerId: string): Promise<boolean> {
		return (await this.#shim().state(containerId))?.status === TaskStatus.paused;
	}

	/** With cgroup v2 SIGKILL ends what is frozen too: then nothing is to be resumed, though the shim says so only once it has the exit. */
	async #endsPaused(containerId: string): Promise<boolean> {
		const endMs = this.#host.clock.monotonicMs() + PAUSED_END_MS;
		while (await this.#isPaused(containerId)) {
			if (this.#host.clock.monotonicMs() > endMs) return false;
			await this.#host.clock.sleep(20);
		}
		return true;
	}

	async reopenLog(containerId: string): Promise<void> {
		await this.#keeper().reopenLog(containerId);
	}

	async list(): Promise<readonly MonitorContainer[]> {
		return await this.#keeper().list();
	}

	async execSync(request: ExecRequest, limits: {readonly timeoutMs: number; readonly maxOutputBytes: number}, signal: AbortSignal | null): Promise<ExecResult> {
		return await execSyncByShim(this.#execPlace(request), request, {...limits, signal});
	}

	async exec(request: ExecRequest & {readonly stdin: boolean}): Promise<ExecSession> {
		return await execByShim(this.#execPlace(request), request);
	}

	async attach(request: AttachRequest): Promise<AttachSession> {
		const session = await this.#keeper().attach(request);
		const key = {id: request.containerId, execId: ''};
		return {
			...session,
			// The monitor has FIFOs; the terminal is the shim's.
			tty: await this.#bundles.hasTerminal(request.containerId),
			resize: (columns, rows) => void this.#tasks?.resize(key, columns, rows).catch(() => {}),
		};
	}

	async destroy(): Promise<void> {
		this.#ending = true;
		const tasks = (await this.#bundles.list()).filter(id => id !== this.#record.id);
		for (const id of tasks) await this.#removeTask(id);
		await this.#removeTask(this.#record.id);
		await this.#endShim();
		await this.#bundles.clear();
		await this.#monitor?.destroy();
	}

	#place(): PodPlace {
		return {
			record: this.#record,
			monitorPid: this.pid,
			pausePid: this.#pausePid,
			shmDir: this.#bundles.shmDir,
			cgroupName: this.#host.pauseCgroupName(this.#record),
		};
	}

	#execPlace({containerId}: ExecRequest): ExecPlace {
		const {kernel, clock} = this.#host;
		return {tasks: this.#shim(), kernel, clock, bundleDir: this.#bundles.dirOf(containerId)};
	}

	/** @throws {UnavailableError} */
	#shim(): ShimTasks {
		if (this.#tasks === null) throw new UnavailableError(`the shim of pod sandbox "${this.#record.id}" is gone`, {sandboxId: this.#record.id});
		return this.#tasks;
	}

	/** @throws {UnavailableError} */
	#keeper(): Monitor {
		if (this.#monitor === null) throw new UnavailableError(`the monitor of pod sandbox "${this.#record.id}" is gone`, {sandboxId: this.#record.id});
		return this.#monitor;
	}

	#use(tasks: ShimTasks): void {
		this.#tasks = tasks;
		void tasks.ended.then(async () => {
			if (this.#tasks !== tasks) return;
			this.#tasks = null;
			if (!this.#ending) await this.#lost();
		});
	}

	/** The read end must be there before the shim starts; what it says is of interest to those who look for a fault. */
	async #openLog(): Promise<void> {
		const log = await this.#host.kernel.openFifoReader(join(this.#bundles.dirOf(this.#record.id), 'log'));
		log.stream.on('data', (chunk: Buffer) => this.#host.log.debug({sandboxId: this.#record.id, said: chunk.toString().trimEnd()}, 'shim'));
		this.#shimLog = log;
	}

	async #moveShim(): Promise<void> {
		const pid = await this.#shim().shimPid(this.#record.id);
		for (const dir of this.#host.shimCgroups(this.#record)) await this.#host.kernel.writeFile(join(dir, 'cgroup.procs'), String(pid));
	}

	/** A container that the last daemon made without a task (#doomed) never starts: it is over, or nobody could ever stop the pod. */
	async #watchAgain(containerId: string): Promise<void> {
		if ((await this.#shim().state(containerId)) === null) await this.#endDoomed(containerId);
		else void this.#watch(containerId);
	}

	/** Tells the monitor of the task's end, whenever that is. */
	async #watch(containerId: string): Promise<void> {
		try {
			const exit = await this.#shim().wait({id: containerId, execId: ''}, null);
			await this.#tellExit(containerId, exit);
		} catch (error) {
			// A shim that is gone ends all of its tasks: #lost.
			if (!(error instanceof UnavailableError)) this.#host.log.error({containerId, err: error}, 'the end of a container is not known: its shim did not tell');
		}
	}

	async #tellExit(containerId: string, {exitCode, finishedAtNs}: TaskExit): Promise<void> {
		await this.#keeper().foreignExited(containerId, {exitCode, finishedAtNs, oomKilled: this.#host.takeOom(containerId)});
	}

	async #endDoomed(containerId: string): Promise<void> {
		await this.#tellExit(containerId, {exitCode: KILLED_EXIT_CODE, finishedAtNs: this.#host.clock.nowNs()});
	}

	/** The shim has died. Nobody knows its tasks any more: they are ended, by the shim's binary. */
	async #lost(): Promise<void> {
		const {log} = this.#host;
		log.error({sandboxId: this.#record.id}, 'shim lost: its tasks are ended');
		try {
			for (const {containerId, phase} of (await this.#monitor?.list()) ?? []) {
				if (phase !== 'exited') await this.#endLost(containerId);
			}
			await this.#deleteByBinary(this.#record.id);
		} catch (error) {
			log.error({sandboxId: this.#record.id, err: error}, 'tasks of a lost shim not ended');
		}
	}

	/** One that cannot be ended keeps none of the others. */
	async #endLost(containerId: string): Promise<void> {
		try {
			await this.#tellExit(containerId, await this.#deleteByBinary(containerId));
		} catch (error) {
			this.#host.log.error({containerId, err: error}, 'task of a lost shim not ended; a signal to the container tries again');
		}
	}

	async #removeTask(id: string): Promise<void> {
		if (!(await this.#bundles.list()).includes(id)) return;
		const tasks = this.#tasks;
		if (tasks === null) return void (await this.#deleteByBinary(id));
		try {
			if ((await tasks.state(id)) === null) return;
			const key = {id, execId: ''};
			await tasks.kill(key, SIGKILL, true);
			const over = new AbortController();
			void this.#host.clock.sleep(KILL_TIMEOUT_MS, over.signal).then(() => over.abort());
			await tasks.wait(key, over.signal).finally(() => over.abort());
			await tasks.delete(key);
		} catch (error) {
			if (error instanceof CancelledError) throw new TimedOutError(`task "${id}" did not end within ${KILL_TIMEOUT_MS} ms after SIGKILL`, {id}, {cause: error});
			if (!(error instanceof UnavailableError)) throw error;
			await this.#deleteByBinary(id);
		}
	}

	async #deleteByBinary(id: string): Promise<TaskExit> {
		const {kernel, wire, binary} = this.#host;
		return await deleteShim(kernel, wire, binary, {id, bundleDir: this.#bundles.dirOf(id)});
	}

	async #endShim(): Promise<void> {
		const tasks = this.#tasks;
		this.#tasks = null;
		if (tasks !== null) {
			await tasks.shutdown(this.#record.id).catch((error: unknown) => this.#host.log.warn({err: error, sandboxId: this.#record.id}, 'shim not shut down'));
			const over = new AbortController();
			await Promise.race([tasks.ended, this.#host.clock.sleep(KILL_TIMEOUT_MS, over.signal)]);
			over.abort();
			tasks.close();
		}
		this.#shimLog?.end();
		this.#shimLog = null;
	}
}

const DEFAULT_SHM_BYTES = 64 << 20;
