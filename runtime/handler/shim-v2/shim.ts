import {FailedError, TimedOutError} from '../../../base/errors.js';
import type {Kernel, ProgramResult} from '../../../native/native.js';
import type {ShimWire, Timestamp__Output} from '../../../proto/shim.js';

/** The namespace that containerd's CRI plugin uses; shims keep their sockets apart by it. */
export const SHIM_NAMESPACE = 'k8s.io';
const MAX_OUTPUT_BYTES = 64 << 10;

/** How a shim binary is run. */
export interface ShimBinary {
	/** Absolute: "/usr/bin/containerd-shim-kata-v2". */
	readonly path: string;
	/** Where this daemon takes the shims' events: the path of a ttrpc socket. */
	readonly eventsPath: string;
	/** Short: the shim's own socket, 65 characters more, must fit into 107. null: where the shim puts it by itself. */
	readonly socketDir: string | null;
	/** A call of the binary that takes longer is killed. */
	readonly timeoutMs: number;
	/** PATH and the like, KEY=value. */
	readonly env: readonly string[];
}

/** Where a running shim is spoken to. */
export interface ShimAddress {
	/** Of the task service: 2 or 3. */
	readonly version: 2 | 3;
	/** "unix:///run/berth/s/…" */
	readonly address: string;
}

/**
 * Starts the shim of a task, or finds the one that its bundle's annotations group it with. The shim outlives the daemon.
 *
 * @param bundleDir has config.json and a FIFO "log", whose read end is open.
 * @throws {FailedError} its own words; {TimedOutError}; {SyscallError} there is no such program.
 * @see containerd docs/runtime-v2.md, "start".
 */
export async function startShim(
	kernel: Kernel,
	wire: ShimWire,
	binary: ShimBinary,
	task: {readonly id: string; readonly bundleDir: string},
): Promise<ShimAddress> {
	const stdin = wire.command.Start.requestSerialize({
		instance_id: task.id,
		namespace: SHIM_NAMESPACE,
		containerd_version: '2.4.0',
		containerd_ttrpc_address: binary.eventsPath,
		containerd_grpc_address: binary.eventsPath,
		...(binary.socketDir === null ? {} : {socket_dir: binary.socketDir}),
	});
	const result = await run(kernel, binary, {...task, action: 'start', stdin});
	return toAddress(wire, Buffer.from(result.stdout));
}

/** How a task ended, as its shim says or can find out. */
export interface TaskExit {
	/** 0-255; 128 + n after signal n. */
	readonly exitCode: number;
	readonly finishedAtNs: bigint;
}

/** Removes what a dead shim left of a task: its processes, mounts and sockets. Idempotent. */
export async function deleteShim(
	kernel: Kernel,
	wire: ShimWire,
	binary: ShimBinary,
	task: {readonly id: string; readonly bundleDir: string},
): Promise<TaskExit> {
	const result = await run(kernel, binary, {...task, action: 'delete', stdin: new Uint8Array()});
	const {exit_status, exited_at} = wire.command.Delete.responseDeserialize(Buffer.from(result.stdout));
	return {exitCode: exit_status, finishedAtNs: toNs(exited_at)};
}

interface Action {
	readonly id: string;
	readonly bundleDir: string;
	readonly action: 'start' | 'delete';
	readonly stdin: Uint8Array;
}

async function run(kernel: Kernel, binary: ShimBinary, {id, bundleDir, action, stdin}: Action): Promise<ProgramResult> {
	const {timeoutMs} = binary;
	const what = `${binary.path} ${action}`;
	const address = ['-namespace', SHIM_NAMESPACE, '-address', binary.eventsPath, '-publish-binary', '/bin/true', '-id', id];
	const result = await kernel.runProgram(
		{
			path: binary.path,
			args: action === 'delete' ? [...address, '-bundle', bundleDir, action] : [...address, action],
			env: [...binary.env, 'MAX_SHIM_VERSION=3', `TTRPC_ADDRESS=${binary.eventsPath}`, `GRPC_ADDRESS=${binary.eventsPath}`, `NAMESPACE=${SHIM_NAMESPACE}`],
			stdin,
			cwd: bundleDir,
			timeoutMs,
			maxOutputBytes: MAX_OUTPUT_BYTES,
		},
		null,
	);
	if (result.timedOut) throw new TimedOutError(`${what} did not end within ${timeoutMs} ms and was killed`, {path: binary.path, timeoutMs});
	if (result.exitCode !== 0) {
		const said = `${Buffer.from(result.stderr).toString()} ${Buffer.from(result.stdout).toString()}`.trim().slice(0, 2000);
		throw new FailedError(`${what}: exit code ${result.exitCode}: ${said || 'it said nothing'}`, {path: binary.path, exitCode: result.exitCode});
	}
	return result;
}

/** A shim says where it listens as a message (containerd 2.3 and later), as JSON (2.0), or as the bare address (1.x; version 2 then). */
function toAddress(wire: ShimWire, output: Buffer): ShimAddress {
	const text = output.toString().trim();
	const {version, address, protocol} = parseMessage(wire, output) ?? parseJson(text) ?? {version: 2, address: text, protocol: 'ttrpc'};
	if (protocol !== 'ttrpc') throw new FailedError(`shim: it speaks ${JSON.stringify(protocol)}, only ttrpc is spoken here`, {protocol});
	if (version !== 2 && version !== 3) throw new FailedError(`shim: its version ${version} is none of 2 and 3`, {version});
	if (address === '' || /[^!-~]/.test(address)) throw new FailedError(`shim: start gave no address but ${JSON.stringify(text.slice(0, 200))}`);
	return {version, address};
}

interface Bootstrap {
	readonly version: number;
	readonly address: string;
	readonly protocol: string;
}

function parseMessage(wire: ShimWire, output: Buffer): Bootstrap | null {
	try {
		const result = wire.command.Start.responseDeserialize(output);
		return result.address !== '' && result.version > 0 ? result : null;
	} catch {
		// Not of this form.
		return null;
	}
}

function parseJson(text: string): Bootstrap | null {
	if (!text.startsWith('{')) return null;
	try {
		const {version = 0, address = '', protocol = 'ttrpc'} = JSON.parse(text) as Partial<Bootstrap>;
		return {version, address, protocol};
	} catch {
		return null;
	}
}

export function toNs(timestamp: Timestamp__Output | null): bigint {
	return timestamp === null ? 0n : BigInt(timestamp.seconds) * 1_000_000_000n + BigInt(timestamp.nanos);
}
