import {NotFoundError} from '../../base/errors.js';
import {removeContainerLocked} from '../container/remove.js';
import type {Runtime} from '../runtime.js';
import {stopLocked} from './stop.js';
import {removeFiles} from './undo.js';

/** Stops the pod sandbox when it still runs, removes its containers and all that is left of it. Idempotent: unknown is success. */
export async function removeSandbox(runtime: Runtime, idOrPrefix: string): Promise<void> {
	let id: string;
	try {
		({id} = runtime.state.findSandbox(idOrPrefix));
	} catch (error) {
		if (error instanceof NotFoundError) return;
		throw error;
	}
	await runtime.locks.run(id, async () => {
		const found = runtime.state.sandbox(id);
		if (found === null || found.state.phase === 'creating') return;
		if (found.state.phase !== 'notReady') await stopLocked(runtime, found, 'Removed');
		for (const container of runtime.state.containersOf(id)) {
			await runtime.locks.run(container.id, () => removeContainerLocked(runtime, container.id));
		}
		await removeFiles(runtime, found);
		const last = runtime.state.sandbox(id) ?? found;
		await runtime.state.delete(found);
		runtime.events.publish({containerId: id, sandboxId: id, kind: 'deleted', removed: last});
	});
}
