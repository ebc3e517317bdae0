import {NotFoundError} from '../../base/errors.js';
import {Rollback} from '../../base/rollback.js';
import {pauseContainer, unpauseContainer} from '../container/pause.js';
import type {Runtime} from '../runtime.js';

/**
 * Pauses a container, or all running containers of a pod sandbox: all of them or, on an error, none more than before.
 *
 * @param idOrPrefix of a container, else of a pod sandbox.
 * @returns the ids of those that are paused now.
 * @throws {NotFoundError} neither. Else as pauseContainer.
 */
export async function pause(runtime: Runtime, idOrPrefix: string): Promise<readonly string[]> {
	const ids = findContainers(runtime, idOrPrefix);
	const rollback = new Rollback();
	try {
		for (const id of ids) if (await pauseContainer(runtime, id)) rollback.add(`pause of ${id}`, async () => void (await unpauseContainer(runtime, id)));
	} catch (error) {
		const failed = await rollback.undo();
		if (failed.length > 0) runtime.log.error({errors: failed.map(({message}) => message)}, 'containers of a failed pause stay paused');
		throw error;
	}
	return ids;
}

/** @returns the ids of those that run now. @throws {NotFoundError} no such container or pod sandbox. Else as unpauseContainer. */
export async function unpause(runtime: Runtime, idOrPrefix: string): Promise<readonly string[]> {
	const ids = findContainers(runtime, idOrPrefix);
	for (const id of ids) await unpauseContainer(runtime, id);
	return ids;
}

function findContainers(runtime: Runtime, idOrPrefix: string): readonly string[] {
	const container = orNull(() => runtime.state.findContainer(idOrPrefix));
	if (container !== null) return [container.id];
	const {id} = runtime.state.findSandbox(idOrPrefix);
	return runtime.state
		.containersOf(id)
		.filter(({state}) => state.phase === 'running')
		.map(each => each.id);
}

function orNull<T>(find: () => T): T | null {
	try {
		return find();
	} catch (error) {
		if (error instanceof NotFoundError) return null;
		throw error;
	}
}
