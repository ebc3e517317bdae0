import type {Runtime} from '../runtime.js';
import {assertRunning} from './record.js';

/** Opens the container's log anew at its path, after the kubelet renamed the old one. @throws {NotFoundError | WrongStateError | SyscallError} */
export async function reopenLog(runtime: Runtime, idOrPrefix: string): Promise<void> {
	const container = runtime.state.findContainer(idOrPrefix);
	assertRunning(container);
	await runtime.monitors.get(container.sandboxId).reopenLog(container.id);
}
