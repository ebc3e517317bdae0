import {UnavailableError} from '../../../base/errors.js';
import type {Clock} from '../../../base/clock.js';
import type {Any, CreateTaskRequest, ExecProcessRequest, ShimWire, StateResponse__Output} from '../../../proto/shim.js';
import {toNs, type ShimAddress, type TaskExit} from './shim.js';
import {TtrpcClient, TtrpcStatusError, type Method} from './ttrpc.js';

const NOT_FOUND = 5;
/** A call that changes something. A VM boots within Create of a sandbox's task. */
const CALL_TIMEOUT_MS = 120_000;

/** A task's own process, or an exec of it. */
export interface ProcessId {
	readonly id: string;
	/** '' = the task's own. */
	readonly execId: string;
}

/** The task service of one shim: all tasks of a pod. */
export class ShimTasks {
	readonly #client: TtrpcClient;
	readonly #wire: ShimWire;
	readonly #service: string;

	private constructor(client: TtrpcClient, wire: ShimWire, version: 2 | 3) {
		this.#client = client;
		this.#wire = wire;
		this.#service = `containerd.task.v${version}.Task`;
	}

	/** @throws {UnavailableError} the shim is gone. */
	static async connect({address, version}: ShimAddress, wire: ShimWire, clock: Clock): Promise<ShimTasks> {
		return new ShimTasks(await TtrpcClient.connect(address, wire, clock), wire, version);
	}

	/** Resolves when the shim is gone, or after close(). */
	get ended(): Promise<void> {
		return this.#client.ended;
	}

	close(): void {
		this.#client.close();
	}

	/** @returns the pid of its process, which waits for start. */
	async create(request: CreateTaskRequest): Promise<number> {
		return (await this.#call(this.#wire.task.Create, request)).pid;
	}

	async start({id, execId}: ProcessId): Promise<number> {
		return (await this.#call(this.#wire.task.Start, {id, exec_id: execId})).pid;
	}

	/** Waits as long as the process runs; the shim answers also when it has ended before. */
	async wait({id, execId}: ProcessId, signal: AbortSignal | null): Promise<TaskExit> {
		const {exit_status, exited_at} = await this.#client.call(this.#service, this.#wire.task.Wait, {id, exec_id: execId}, {timeoutMs: 0, signal});
		return {exitCode: exit_status, finishedAtNs: toNs(exited_at)};
	}

	/** No error when it has ended already. */
	async kill({id, execId}: ProcessId, signo: number, all: boolean): Promise<void> {
		await this.#unlessGone(this.#call(this.#wire.task.Kill, {id, exec_id: execId, signal: signo, all}));
	}

	/** Forgets an ended process. Idempotent. */
	async delete({id, execId}: ProcessId): Promise<void> {
		await this.#unlessGone(this.#call(this.#wire.task.Delete, {id, exec_id: execId}));
	}

	async exec(request: ExecProcessRequest): Promise<void> {
		await this.#call(this.#wire.task.Exec, request);
	}

	async resize({id, execId}: ProcessId, columns: number, rows: number): Promise<void> {
		await this.#unlessGone(this.#call(this.#wire.task.ResizePty, {id, exec_id: execId, width: columns, height: rows}));
	}

	async closeStdin({id, execId}: ProcessId): Promise<void> {
		await this.#unlessGone(this.#call(this.#wire.task.CloseIO, {id, exec_id: execId, stdin: true}));
	}

	async pause(id: string): Promise<void> {
		await this.#call(this.#wire.task.Pause, {id});
	}

	async resume(id: string): Promise<void> {
		await this.#call(this.#wire.task.Resume, {id});
	}

	/** @param resources LinuxResources of the OCI runtime spec. */
	async update(id: string, resources: Any): Promise<void> {
		await this.#call(this.#wire.task.Update, {id, resources});
	}

	/** @returns null: the shim knows no such task. */
	async state(id: string, timeoutMs = CALL_TIMEOUT_MS): Promise<StateResponse__Output | null> {
		try {
			return await this.#client.call(this.#service, this.#wire.task.State, {id, exec_id: ''}, {timeoutMs, signal: null});
		} catch (error) {
			if (isNotFound(error)) return null;
			throw error;
		}
	}

	/** @returns the shim's own pid. */
	async shimPid(id: string): Promise<number> {
		return (await this.#call(this.#wire.task.Connect, {id})).shim_pid;
	}

	/** Lets the shim end once it has no task any more. */
	async shutdown(id: string): Promise<void> {
		try {
			await this.#unlessGone(this.#call(this.#wire.task.Shutdown, {id, now: false}));
		} catch (error) {
			// It may end before it has answered.
			if (!(error instanceof UnavailableError)) throw error;
		}
	}

	async #call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
		return await this.#client.call(this.#service, method, request, {timeoutMs: CALL_TIMEOUT_MS, signal: null});
	}

	async #unlessGone(call: Promise<unknown>): Promise<void> {
		try {
			await call;
		} catch (error) {
			if (!isNotFound(error)) throw error;
		}
	}
}

function isNotFound(error: unknown): boolean {
	return error instanceof TtrpcStatusError && error.grpcCode === NOT_FOUND;
}
