import {NotFoundError, WrongStateError} from '../../base/errors.js';
import {Rollback} from '../../base/rollback.js';
import {pauseContainer, unpauseContainer} from '../container/pause.js';
import type {Runtime} from '../runtime.js';

/**
 * Pauses a container, or all running containers of a pod sandbox: all of them or, on an error, none more than before. Of a pod, those that end meanwhile are
 * passed over.
 *
 * @param idOrPrefix of a container, else of a pod sandbox.
 * @returns the ids of those that are paused now.
 * @throws {NotFoundError} neither. Else as pauseContainer.
 */
export async function pause(runtime: Runtime, idOrPrefix: string): Promise<readonly string[]> {
	const rollback = new Rollback();
	try {
		return await eachOf(runtime, idOrPrefix, async id => {
			if (await pauseContainer(runtime, id)) rollback.add(`pause of ${id}`, async () => void (await unpauseContainer(runtime, id)));
		});
	} catch (error) {
		const failed = await rollback.undo();
		if (failed.length > 0) runtime.log.error({errors: failed.map(({message}) => message)}, 'containers of a failed pause stay paused');
		throw error;
	}
}

/**
 * Lets a container go on, or all of a pod sandbox; one that cannot keeps none of the others, and those that end meanwhile are passed over.
 *
 * @returns the ids of those that run now.
 * @throws {NotFoundError} no such container or pod sandbox. Else as unpauseContainer, the first one's.
 */
export async function unpause(runtime: Runtime, idOrPrefix: string): Promise<readonly string[]> {
	const errors: unknown[] = [];
	const ids = await eachOf(runtime, idOrPrefix, async (id, isAlone) => {
		try {
			await unpauseContainer(runtime, id);
		} catch (error) {
			if (isAlone || isOver(error)) throw error;
			errors.push(error);
		}
	});
	if (errors.length > 0) throw errors[0];
	return ids;
}

/** @returns the ids of those for which it was done. */
async function eachOf(runtime: Runtime, idOrPrefix: string, work: (id: string, isAlone: boolean) => Promise<void>): Promise<readonly string[]> {
	const {ids, isAlone} = findContainers(runtime, idOrPrefix);
	const done: string[] = [];
	for (const id of ids) {
		try {
			await work(id, isAlone);
			done.push(id);
		} catch (error) {
			if (isAlone || !isOver(error)) throw error;
		}
	}
	return done;
}

/** It has ended, or was removed, since the pod was looked at; or is about to. */
function isOver(error: unknown): boolean {
	return error instanceof WrongStateError || error instanceof NotFoundError;
}

function findContainers(runtime: Runtime, idOrPrefix: string): {readonly ids: readonly string[]; readonly isAlone: boolean} {
	const container = orNull(() => runtime.state.findContainer(idOrPrefix));
	if (container !== null) return {ids: [container.id], isAlone: true};
	const {id} = runtime.state.findSandbox(idOrPrefix);
	const running = runtime.state.containersOf(id).filter(({state}) => state.phase === 'running');
	return {ids: running.map(each => each.id), isAlone: false};
}

function orNull<T>(find: () => T): T | null {
	try {
		return find();
	} catch (error) {
		if (error instanceof NotFoundError) return null;
		throw error;
	}
}
