import {SyscallError} from '../../base/errors.js';
import type {Runtime} from '../runtime.js';
import {putExited} from './exit.js';
import {assertStartable, type ContainerRecord} from './record.js';
import {assertFound} from './find.js';

const ENOENT = 2;

/**
 * Lets the parked init exec its program. Holds the container's lock throughout, so an exit cannot be recorded before the start.
 *
 * @throws {NotFoundError | WrongStateError} with nothing changed.
 * @throws {SyscallError} exec failed: the container is exited, reason `StartError`, exit code 127 (no such file) or 126, as a shell's.
 */
export async function startContainer(runtime: Runtime, idOrPrefix: string): Promise<void> {
	const {id} = runtime.state.findContainer(idOrPrefix);
	await runtime.locks.run(id, async () => {
		const container = assertFound(runtime.state.container(id), id);
		assertStartable(container, assertFound(runtime.state.sandbox(container.sandboxId), container.sandboxId));
		const {startedAtNs} = await release(runtime, container);
		// Should the journal fail here, the program runs all the same: it is no StartError, and whoever removes the container ends it.
		await runtime.state.put({...container, state: {phase: 'running', startedAtNs}});
		runtime.events.publish({containerId: id, sandboxId: container.sandboxId, kind: 'started'});
	});
}

async function release(runtime: Runtime, container: ContainerRecord): Promise<{readonly startedAtNs: bigint}> {
	try {
		return await runtime.monitors.get(container.sandboxId).startContainer(container.id);
	} catch (error) {
		await recordStartError(runtime, container, error as Error);
		throw error;
	}
}

async function recordStartError(runtime: Runtime, container: ContainerRecord, error: Error): Promise<void> {
	const exitCode = error instanceof SyscallError && error.errno === ENOENT ? 127 : 126;
	const finishedAtNs = runtime.clock.nowNs();
	await putExited(runtime, container, {phase: 'exited', startedAtNs: 0n, finishedAtNs, exitCode, reason: 'StartError', message: error.message});
}
