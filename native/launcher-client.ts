import path from 'node:path';
import {backoff} from '../base/backoff.js';
import type {Clock} from '../base/clock.js';
import {SyscallError, UnavailableError, UnimplementedError} from '../base/errors.js';
import {addon} from './addon.js';
import type {Connection, Reply} from './connection.js';
import {writeCgroup, writeMonitorRequest} from './launch-spec.js';
import {connectOrStart} from './launcher-start.js';
import {isNobodyThere, MonitorClient} from './monitor-client.js';
import type {CgroupPlan, Launcher, LauncherEvents, LauncherOptions, Monitor, MonitorRequest} from './native.js';
import {BodyReader, BodyWriter} from './protocol.js';
import {MESSAGE, TAG} from './protocol-numbers.js';

const EBUSY = 16;
const EPROTO = 71;
const FORGET_DEADLINE_MS = 10_000;
// A request that comes while the launcher is being started anew waits this long for it.
const RECONNECT_WAIT_MS = 5000;
const FIRST_RETRY_MS = 10;
const MAX_RETRY_MS = 1000;

/** Launcher of native.ts. When the launcher dies a new one is started, which takes the live monitors over. */
export class LauncherClient implements Launcher {
	readonly #clock: Clock;
	readonly #options: LauncherOptions;
	readonly #events: LauncherEvents;
	readonly #monitors = new Map<string, MonitorClient>();
	readonly #closed = new AbortController();
	/** Facts that came before openLauncher's caller can know the launcher. */
	#held: (() => void)[] | null = [];
	#connection: Connection | null = null;
	#reconnecting: Promise<void> | null = null;

	private constructor(clock: Clock, options: LauncherOptions, events: LauncherEvents) {
		this.#clock = clock;
		this.#options = options;
		this.#events = events;
	}

	/** Native.openLauncher. */
	static async open(clock: Clock, options: LauncherOptions, events: LauncherEvents): Promise<LauncherClient> {
		const launcher = new LauncherClient(clock, options, events);
		await launcher.#connect();
		setImmediate(() => {
			const held = launcher.#held ?? [];
			launcher.#held = null;
			for (const tell of held) tell();
		});
		return launcher;
	}

	get pid(): number {
		return this.#connection?.peerPid ?? 0;
	}
	get protocolVersion(): number {
		return this.#connection?.version ?? 0;
	}

	async createMonitor(request: MonitorRequest): Promise<Monitor> {
		const reply = await this.#askMonitor(request);
		try {
			return await this.#connectMonitor(request.sandboxId, request.cgroup);
		} catch (error) {
			// It was made but does not serve: nothing of it may be left.
			killProcess(reply.body.u32(TAG.PID));
			await this.#forgetPod(request.sandboxId, request.cgroup);
			throw error;
		}
	}

	/** One that was started by an earlier version refuses what it does not know, and goes on until the node has no pods. */
	async #askMonitor(request: MonitorRequest): Promise<Reply> {
		try {
			return await this.#ask(MESSAGE.CREATE_MONITOR, writeMonitorRequest(new BodyWriter(), request));
		} catch (error) {
			if (request.userNamespace === null || !(error instanceof SyscallError) || error.errno !== EPROTO) throw error;
			throw new UnimplementedError('the launcher that runs was started by an earlier version, which knows no user namespaces', {}, {cause: error});
		}
	}

	async findMonitor(sandboxId: string): Promise<Monitor | null> {
		const known = this.#monitors.get(sandboxId);
		if (known?.isConnected === true) return known;
		try {
			return await this.#connectMonitor(sandboxId, null);
		} catch (error) {
			if (isNobodyThere(error)) return null;
			throw error;
		}
	}

	async forgetPod(sandboxId: string): Promise<void> {
		await this.#forgetPod(sandboxId, null);
	}

	async listMonitors(): Promise<readonly string[]> {
		const reply = await this.#ask(MESSAGE.LIST_MONITORS, new BodyWriter());
		return reply.body.groups(TAG.MONITOR).map(monitor => monitor.string(TAG.SANDBOX_ID));
	}

	close(): void {
		if (this.#closed.signal.aborted) return;
		this.#closed.abort();
		this.#connection?.close();
		for (const monitor of [...this.#monitors.values()]) monitor.close();
	}

	async shutdown(): Promise<void> {
		await this.#ask(MESSAGE.SHUTDOWN, new BodyWriter());
		this.close();
	}

	/** @param cgroup As it was made with; null when an earlier daemon made it. */
	async #connectMonitor(sandboxId: string, cgroup: CgroupPlan | null): Promise<MonitorClient> {
		const monitor = await MonitorClient.connect(
			{
				sandboxId,
				clock: this.#clock,
				events: {onExit: (...fact) => this.#tell(() => this.#events.onExit(...fact))},
				forgetPod: async () => await this.#forgetPod(sandboxId, cgroup),
				onDestroyed: gone => this.#deleteMonitor(gone),
			},
			path.join(this.#options.runDir, 'pods', sandboxId, 'monitor.sock'),
		);
		this.#monitors.set(sandboxId, monitor);
		return monitor;
	}

	#deleteMonitor(monitor: MonitorClient): void {
		if (this.#monitors.get(monitor.sandboxId) === monitor) this.#monitors.delete(monitor.sandboxId);
	}

	/** What a dead monitor left is being killed by the launcher: that may take a moment. */
	async #forgetPod(sandboxId: string, cgroup: CgroupPlan | null): Promise<void> {
		const deadlineMs = this.#clock.monotonicMs() + FORGET_DEADLINE_MS;
		for (const delayMs of backoff(FIRST_RETRY_MS, MAX_RETRY_MS)) {
			try {
				const body = new BodyWriter().string(TAG.SANDBOX_ID, sandboxId);
				await this.#ask(MESSAGE.FORGET_POD, cgroup === null ? body : writeCgroup(body, {...cgroup, writes: [], join: []}));
				return;
			} catch (error) {
				const dying = error instanceof SyscallError && error.errno === EBUSY;
				if (!dying || this.#clock.monotonicMs() > deadlineMs) throw error;
			}
			await this.#clock.sleep(delayMs);
		}
	}

	async #ask(type: number, body: BodyWriter): Promise<Reply> {
		if (this.#reconnecting !== null) await Promise.race([this.#reconnecting, this.#clock.sleep(RECONNECT_WAIT_MS, this.#closed.signal)]);
		if (this.#connection === null) throw new UnavailableError('the launcher is not connected');
		const reply = await this.#connection.request(type, body);
		addon.closeFds(reply.fds);
		return reply;
	}

	async #connect(): Promise<void> {
		this.#connection = await connectOrStart(this.#clock, this.#options, {
			onEvent: (type, body) => this.#onEvent(type, body),
			onLost: () => this.#onLost(),
		});
	}

	#onEvent(type: number, body: BodyReader): void {
		if (type === MESSAGE.EVENT_MONITOR_LOST) this.#tell(() => this.#loseMonitor(body.string(TAG.SANDBOX_ID)));
	}

	#loseMonitor(sandboxId: string): void {
		this.#monitors.get(sandboxId)?.close();
		this.#monitors.delete(sandboxId);
		this.#events.onMonitorLost(sandboxId);
	}

	#tell(fact: () => void): void {
		if (this.#closed.signal.aborted) return;
		if (this.#held !== null) this.#held.push(fact);
		else fact();
	}

	#onLost(): void {
		if (this.#closed.signal.aborted || this.#reconnecting !== null) return;
		this.#reconnecting = this.#reconnect().finally(() => void (this.#reconnecting = null));
	}

	async #reconnect(): Promise<void> {
		for (const delayMs of backoff(FIRST_RETRY_MS, MAX_RETRY_MS)) {
			try {
				await this.#connect();
				return await this.#reportLost();
			} catch {
				await this.#clock.sleep(delayMs, this.#closed.signal);
			}
			if (this.#closed.signal.aborted) return;
		}
	}

	/** A monitor that died while no launcher watched is told of by nobody else. */
	async #reportLost(): Promise<void> {
		const reply = await this.#connection!.request(MESSAGE.LIST_MONITORS);
		const alive = new Set(reply.body.groups(TAG.MONITOR).map(monitor => monitor.string(TAG.SANDBOX_ID)));
		for (const [sandboxId, monitor] of [...this.#monitors]) {
			if (!alive.has(sandboxId) && !monitor.isConnected) this.#loseMonitor(sandboxId);
		}
	}
}

function killProcess(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}
