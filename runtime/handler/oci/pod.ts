import {FailedError, SyscallError} from '../../../base/errors.js';
import type {
	AttachRequest,
	AttachSession,
	CreatedContainer,
	ExecRequest,
	ExecResult,
	ExecSession,
	LaunchSpec,
	Monitor,
	MonitorContainer,
} from '../../../native/native.js';
import type {HandlerOptions, LaunchFacts, PodRuntime} from '../handler.js';
import {toOciProcess, toOciSpec} from './spec.js';
import {toOciText} from './text.js';

/** Of a failure that the binary itself is the author of (native/monitor/oci-call.c). */
const STAGE = 'runtime ';

/** A monitor's pod whose containers an OCI runtime's binary makes and execs into; log, exit, signals and removal are the monitor's as ever. */
export class OciPod implements PodRuntime {
	readonly #monitor: Monitor;
	readonly #options: HandlerOptions;

	constructor(monitor: Monitor, options: HandlerOptions) {
		this.#monitor = monitor;
		this.#options = options;
	}

	get sandboxId(): string {
		return this.#monitor.sandboxId;
	}
	get pid(): number {
		return this.#monitor.pid;
	}

	/** @throws {FailedError} with the runtime's words. {InvalidArgumentError} what its config cannot say. Others as natively. */
	async createContainer(spec: LaunchSpec, facts: LaunchFacts): Promise<CreatedContainer> {
		const {path: binaryPath, options, timeoutMs} = this.#options;
		const config = toOciText(gaps => toOciSpec(spec, facts, {...gaps, namespaces: []}));
		return await this.#explain(this.#monitor.createOciContainer(toSetUp(spec), {binaryPath, options, timeoutMs, config}));
	}

	async startContainer(containerId: string): Promise<{readonly startedAtNs: bigint}> {
		return await this.#explain(this.#monitor.startContainer(containerId));
	}

	async exec(request: ExecRequest & {readonly stdin: boolean}): Promise<ExecSession> {
		return await this.#explain(this.#monitor.exec({...request, ...toOciExec(request)}));
	}

	async execSync(
		request: ExecRequest,
		...rest: [limits: {readonly timeoutMs: number; readonly maxOutputBytes: number}, signal: AbortSignal | null]
	): Promise<ExecResult> {
		return await this.#explain(this.#monitor.execSync({...request, ...toOciExec(request)}, ...rest));
	}

	async signal(containerId: string, signo: number, all: boolean): Promise<void> {
		await this.#monitor.signal(containerId, signo, all);
	}

	async removeContainer(containerId: string): Promise<void> {
		await this.#monitor.removeContainer(containerId);
	}

	async reopenLog(containerId: string): Promise<void> {
		await this.#monitor.reopenLog(containerId);
	}

	async list(): Promise<readonly MonitorContainer[]> {
		return await this.#monitor.list();
	}

	async attach(request: AttachRequest): Promise<AttachSession> {
		return await this.#monitor.attach(request);
	}

	async destroy(): Promise<void> {
		await this.#monitor.destroy();
	}

	/** The binary's own words in place of a syscall that there was none of. */
	async #explain<T>(call: Promise<T>): Promise<T> {
		try {
			return await call;
		} catch (error) {
			const stage = error instanceof SyscallError ? String(error.details['stage']) : '';
			if (!(error instanceof SyscallError) || !stage.startsWith(STAGE)) throw error;
			const {name} = this.#options;
			const verb = stage.slice(STAGE.length);
			throw new FailedError(`runtime handler "${name}", ${verb}: ${error.details['path']}`, {handler: name, verb}, {cause: error});
		}
	}
}

/** What the monitor's set-up needs of it; the rest is in the config. Mounts keep their places: the config counts them. */
function toSetUp(spec: LaunchSpec): LaunchSpec {
	return {...spec, devices: [], symlinks: [], maskedPaths: [], readonlyPaths: [], process: withoutBulk(spec.process)};
}

function toOciExec(request: ExecRequest): Pick<ExecRequest, 'process' | 'oci'> {
	const {process} = request;
	const {uid, gid, supplementalGids} = process.user;
	const user = {uid: uid ?? 0, gid: gid ?? 0, additionalGids: supplementalGids};
	return {process: withoutBulk(process), oci: toOciText(({home}) => toOciProcess(process, {user, home}))};
}

function withoutBulk(process: LaunchSpec['process']): LaunchSpec['process'] {
	return {...process, env: [], seccomp: null, args: process.args.slice(0, 1)};
}
