import {open} from 'node:fs';
import {promisify} from 'node:util';
import type {Clock} from '../base/clock.js';
import {CorruptError, SyscallError, UnavailableError} from '../base/errors.js';
import {addon, callAddon} from './addon.js';
import {attach, type AttachHost, Inputs} from './attach.js';
import {Connection, type ConnectionEvents, type Reply} from './connection.js';
import {exec, execSync, type ExecHost} from './exec.js';
import {Expectations} from './expectations.js';
import {openForeign} from './foreign.js';
import {launchFiles, writeLaunchSpec, writeOciLaunch} from './launch-spec.js';
import type {
	AttachRequest,
	AttachSession,
	CreatedContainer,
	ExecRequest,
	ExecResult,
	ExecSession,
	ExitRecord,
	ForeignContainer,
	LaunchSpec,
	LauncherEvents,
	Monitor,
	MonitorContainer,
	OciLaunch,
	ResolvedUser,
} from './native.js';
import {BodyReader, BodyWriter} from './protocol.js';
import {MESSAGE, PHASE, TAG} from './protocol-numbers.js';

export interface MonitorClientParts {
	readonly sandboxId: string;
	readonly clock: Clock;
	readonly events: Pick<LauncherEvents, 'onExit'>;
	/** Has the launcher clear away what a dead monitor left. */
	readonly forgetPod: () => Promise<void>;
	readonly onDestroyed: (monitor: MonitorClient) => void;
}

/** Monitor of native.ts over one connection. */
export class MonitorClient implements Monitor, ExecHost, AttachHost {
	readonly #parts: MonitorClientParts;
	readonly attachEnds = new Expectations<number>('attachment');
	readonly inputs = new Inputs();
	readonly #execExits = new Expectations<number>('exec');
	#connection: Connection | null = null;

	private constructor(parts: MonitorClientParts) {
		this.#parts = parts;
	}

	/** @throws {SyscallError} stage "connect to": nobody listens. */
	static async connect(parts: MonitorClientParts, socketPath: string): Promise<MonitorClient> {
		return await MonitorClient.over(parts, async (name, events) => await Connection.open(name, socketPath, events));
	}

	/** With a connection that `open` makes. */
	static async over(parts: MonitorClientParts, open: (name: string, events: ConnectionEvents) => Promise<Connection>): Promise<MonitorClient> {
		const monitor = new MonitorClient(parts);
		monitor.#connection = await open(`monitor of pod sandbox "${parts.sandboxId}"`, {
			onEvent: (type, body) => monitor.#onEvent(type, body),
			onLost: () => monitor.#onLost(),
		});
		return monitor;
	}

	get sandboxId(): string {
		return this.#parts.sandboxId;
	}
	get clock(): Clock {
		return this.#parts.clock;
	}
	get pid(): number {
		return this.#connection?.peerPid ?? 0;
	}
	get isConnected(): boolean {
		return this.#connection?.isOpen === true;
	}

	async createContainer(spec: LaunchSpec): Promise<CreatedContainer> {
		return await this.#create(writeLaunchSpec(new BodyWriter(), spec), await openFiles(spec));
	}

	async createOciContainer(spec: LaunchSpec, oci: OciLaunch): Promise<CreatedContainer> {
		const fds = await openFiles(spec);
		try {
			fds.push(await openOwnMounts());
		} catch (error) {
			addon.closeFds(fds);
			throw error;
		}
		return await this.#create(writeOciLaunch(writeLaunchSpec(new BodyWriter(), spec), oci, fds.length - 1), fds);
	}

	async #create(body: BodyWriter, fds: readonly number[]): Promise<CreatedContainer> {
		const reply = (await this.#ask(MESSAGE.CREATE_CONTAINER, body, fds)).body;
		return {
			pid: reply.u32(TAG.PID),
			user: {uid: reply.u32(TAG.UID), gid: reply.u32(TAG.GID), supplementalGids: reply.u32s(TAG.SUPPLEMENTAL_GID)},
		};
	}

	async startContainer(containerId: string): Promise<{readonly startedAtNs: bigint}> {
		const reply = await this.#ask(MESSAGE.START, ofContainer(containerId));
		return {startedAtNs: reply.body.u64(TAG.STARTED_AT_NS)};
	}

	async signal(containerId: string, signo: number, all: boolean): Promise<void> {
		await this.#ask(MESSAGE.SIGNAL, ofContainer(containerId).u32(TAG.SIGNO, signo).bool(TAG.ALL, all));
	}

	async removeContainer(containerId: string): Promise<void> {
		await this.#ask(MESSAGE.REMOVE, ofContainer(containerId));
	}

	async reopenLog(containerId: string): Promise<void> {
		await this.#ask(MESSAGE.REOPEN_LOG, ofContainer(containerId));
	}

	async createForeign(container: ForeignContainer): Promise<ResolvedUser> {
		const {body, fds} = await openForeign(container);
		const reply = (await this.#ask(MESSAGE.CREATE_FOREIGN, body, fds)).body;
		return {uid: reply.u32(TAG.UID, 0), gid: reply.u32(TAG.GID, 0), supplementalGids: reply.u32s(TAG.SUPPLEMENTAL_GID)};
	}

	async foreignStarted(containerId: string, pid: number, startedAtNs: bigint): Promise<void> {
		await this.#ask(MESSAGE.FOREIGN_STARTED, ofContainer(containerId).u32(TAG.PID, pid).u64(TAG.STARTED_AT_NS, startedAtNs));
	}

	async foreignExited(containerId: string, {exitCode, finishedAtNs, oomKilled}: ExitRecord): Promise<void> {
		const body = ofContainer(containerId).u32(TAG.EXIT_CODE, exitCode).u64(TAG.FINISHED_AT_NS, finishedAtNs).bool(TAG.OOM_KILLED, oomKilled);
		await this.#ask(MESSAGE.FOREIGN_EXITED, body);
	}

	async list(): Promise<readonly MonitorContainer[]> {
		const reply = await this.#ask(MESSAGE.LIST, new BodyWriter());
		return reply.body.groups(TAG.CONTAINER).map(toContainer);
	}

	async execSync(request: ExecRequest, limits: {readonly timeoutMs: number; readonly maxOutputBytes: number}, signal: AbortSignal | null): Promise<ExecResult> {
		return await execSync(this, request, {...limits, signal});
	}

	async exec(request: ExecRequest & {readonly stdin: boolean}): Promise<ExecSession> {
		return await exec(this, request);
	}

	async attach(request: AttachRequest): Promise<AttachSession> {
		return await attach(this, request);
	}

	async destroy(): Promise<void> {
		try {
			await this.#ask(MESSAGE.DESTROY, new BodyWriter());
		} catch (error) {
			if (!(error instanceof UnavailableError)) throw error;
			await this.#parts.forgetPod();
		}
		this.close();
		this.#parts.onDestroyed(this);
	}

	/** Closes the connection; the monitor goes on. */
	close(): void {
		if (!this.isConnected) return;
		this.#connection?.close();
		this.#onLost();
	}

	async request(type: number, body: BodyWriter, fds: readonly number[] = []): Promise<Reply> {
		if (this.#connection !== null) return await this.#connection.request(type, body, fds);
		addon.closeFds(fds);
		throw new UnavailableError(`the monitor of pod sandbox "${this.sandboxId}" is not connected`);
	}

	expectExit(execId: string): Promise<number> {
		return this.#execExits.expect(execId);
	}

	forgetExit(execId: string): void {
		this.#execExits.forget(execId);
	}

	/** For replies that carry no descriptors. */
	async #ask(type: number, body: BodyWriter, fds: readonly number[] = []): Promise<Reply> {
		const reply = await this.request(type, body, fds);
		addon.closeFds(reply.fds);
		return reply;
	}

	#onEvent(type: number, body: BodyReader): void {
		if (type === MESSAGE.EVENT_EXITED) {
			this.#parts.events.onExit(this.sandboxId, body.string(TAG.CONTAINER_ID), toExit(body));
		} else if (type === MESSAGE.EVENT_EXEC_EXITED) {
			this.#execExits.tell(body.string(TAG.EXEC_ID), body.u32(TAG.EXIT_CODE));
		} else if (type === MESSAGE.EVENT_ATTACH_ENDED) {
			this.attachEnds.tell(body.string(TAG.ATTACH_ID), Number(body.u64(TAG.SKIPPED_BYTES)));
		}
		// Other events are of a later version: not ours to understand.
	}

	#onLost(): void {
		const error = new UnavailableError(`the monitor of pod sandbox "${this.sandboxId}" is gone`, {sandboxId: this.sandboxId});
		this.#execExits.rejectAll(error);
		this.attachEnds.rejectAll(error);
	}
}

async function openFiles(spec: LaunchSpec): Promise<number[]> {
	const {sources, recursive, logDir} = launchFiles(spec);
	return await callAddon<number[]>(done => addon.openLaunchFiles(sources, recursive, logDir, done));
}

/** The daemon's mount namespace. @returns a descriptor that is the caller's to close. */
const openOwnMounts = async (): Promise<number> => await promisify(open)('/proc/self/ns/mnt', 'r');

/** true: nobody listens at the socket any more. */
export function isNobodyThere(error: unknown): boolean {
	return error instanceof SyscallError && /^(?:connect to|open directory of socket) /.test(error.message) && [2, 111].includes(error.errno);
}

function ofContainer(containerId: string): BodyWriter {
	return new BodyWriter().string(TAG.CONTAINER_ID, containerId);
}

function toExit(body: BodyReader): ExitRecord {
	return {exitCode: body.u32(TAG.EXIT_CODE), finishedAtNs: body.u64(TAG.FINISHED_AT_NS), oomKilled: body.bool(TAG.OOM_KILLED)};
}

const PHASES = new Map<number, MonitorContainer['phase']>([
	[PHASE.CREATED, 'created'],
	[PHASE.RUNNING, 'running'],
	[PHASE.EXITED, 'exited'],
]);

function toContainer(body: BodyReader): MonitorContainer {
	const phase = PHASES.get(body.u32(TAG.PHASE));
	if (phase === undefined) throw new CorruptError(`a container has the unknown phase ${body.u32(TAG.PHASE)}`);
	return {
		containerId: body.string(TAG.CONTAINER_ID),
		pid: body.u32(TAG.PID, 0),
		phase,
		startedAtNs: body.u64(TAG.STARTED_AT_NS, 0n),
		exit: phase === 'exited' ? toExit(body) : null,
	};
}
