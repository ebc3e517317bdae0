import {NotFoundError, TimedOutError} from '../../base/errors.js';
import type {Runtime} from '../runtime.js';
import {killContainer} from './kill.js';
import {removeSnapshots} from './snapshots.js';

/** Kills the container when it still runs and removes all that is left of it, but its log. Idempotent: unknown is success. */
export async function removeContainer(runtime: Runtime, idOrPrefix: string): Promise<void> {
	let id: string;
	try {
		({id} = runtime.state.findContainer(idOrPrefix));
	} catch (error) {
		if (error instanceof NotFoundError) return;
		throw error;
	}
	// Before the lock: the exit is recorded under it.
	if (!(await killContainer(runtime, id))) throw new TimedOutError(`container "${id}" did not end after SIGKILL`, {id});
	await runtime.locks.run(id, () => removeContainerLocked(runtime, id));
}

/** The removal of an exited container, under its lock. */
export async function removeContainerLocked(runtime: Runtime, id: string): Promise<void> {
	const container = runtime.state.container(id);
	if (container === null) return;
	await runtime.monitors.find(container.sandboxId)?.removeContainer(id);
	await removeSnapshots(runtime, container);
	await runtime.state.delete(container);
	runtime.events.publish({containerId: id, sandboxId: container.sandboxId, kind: 'deleted'});
}
