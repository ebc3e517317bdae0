import {Rollback} from '../../base/rollback.js';
import type {Runtime} from '../runtime.js';
import type {ContainerRecord} from './record.js';
import {removeSnapshots} from './snapshots.js';

/** Adds all that CreateContainer may have made, in the order it makes it. Each step is idempotent. */
export function addUndoSteps(rollback: Rollback, runtime: Runtime, record: ContainerRecord): void {
	rollback.add('record', () => runtime.state.delete(record));
	rollback.add('snapshot', () => removeSnapshots(runtime, record));
	rollback.add('process', async () => runtime.monitors.find(record.sandboxId)?.removeContainer(record.id));
}

/** Undoes a CreateContainer that the daemon's death cut short. */
export async function undoCreate(runtime: Runtime, record: ContainerRecord): Promise<void> {
	const rollback = new Rollback();
	addUndoSteps(rollback, runtime, record);
	const failed = await rollback.undo();
	if (failed.length > 0)
		runtime.log.error({containerId: record.id, errors: failed.map(error => error.message)}, 'unfinished CreateContainer not wholly undone');
}
