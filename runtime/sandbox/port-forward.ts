import type {Socket} from 'node:net';
import {InvalidArgumentError, WrongStateError} from '../../base/errors.js';
import type {Runtime} from '../runtime.js';
import type {SandboxRecord} from './record.js';
import {netnsPath} from './undo.js';

const DIAL_TIMEOUT_MS = 10_000;
const MAX_PORT = 65_535;

/** @throws {WrongStateError} the pod sandbox is not ready. */
export function assertForwardable(record: SandboxRecord): void {
	if (record.state.phase !== 'ready') throw new WrongStateError('pod sandbox', record.id, record.state.phase, 'ready');
}

/**
 * Connects to a port of the pod, as a process in it would to localhost; of the host for a pod on the host's network.
 *
 * @throws {InvalidArgumentError} the port. {WrongStateError} the pod sandbox is not ready (any more). {SyscallError} nobody listens there.
 */
export async function dialSandbox(runtime: Runtime, sandboxId: string, port: number): Promise<Socket> {
	if (!Number.isInteger(port) || port < 1 || port > MAX_PORT) throw new InvalidArgumentError(`port ${port} is not in 1..${MAX_PORT}`, {field: 'port'});
	const record = runtime.state.findSandbox(sandboxId);
	assertForwardable(record);
	return await runtime.kernel.dialPod(record.namespaces.network === 'pod' ? netnsPath(runtime, record.id) : null, port, DIAL_TIMEOUT_MS);
}
