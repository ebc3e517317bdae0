import {WrongStateError} from '../../base/errors.js';
import type {Rollback} from '../../base/rollback.js';
import {readActualResources} from '../cgroup/actual.js';
import {mergeResources} from '../cgroup/merge.js';
import {assertResources} from '../cgroup/resources.js';
import {updateCgroup} from '../cgroup/update.js';
import type {Runtime} from '../runtime.js';
import type {ResourceFacts} from '../sandbox/record.js';
import {assertFound} from './find.js';
import {setOomScoreAdj} from './oom-score.js';
import type {ContainerRecord} from './record.js';

/**
 * Gives a created or running container other limits: all of them, or none and an error. What `changes` leaves unspecified (0, '') stays.
 *
 * @throws {InvalidArgumentError} naming the field: out of range, contradicting what holds already, or refused by the kernel.
 * @throws {NotFoundError | WrongStateError} no such container, or it has ended.
 */
export async function updateContainer(runtime: Runtime, idOrPrefix: string, changes: ResourceFacts): Promise<void> {
	assertResources({...changes, ...ALONE});
	const {id} = runtime.state.findContainer(idOrPrefix);
	await runtime.locks.run(id, async () => {
		const container = assertFound(runtime.state.container(id), id);
		if (!hasCgroup(container)) throw new WrongStateError('container', id, container.state.phase, 'created or running');
		const merged = mergeResources(container.resources, changes);
		assertResources(merged);
		await updateCgroup(runtime, {cgroupPath: container.cgroupPath, merged, changes}, async undo => {
			await updateByHandler(runtime, {container, merged}, undo);
			// Last of all, for it is clamped and not refused.
			if (changes.oomScoreAdj !== 0) await setOomScoreAdj(runtime, {cgroupPath: container.cgroupPath, value: changes.oomScoreAdj}, undo);
			const oomScoreAdj = changes.oomScoreAdj === 0 ? container.exec.oomScoreAdj : changes.oomScoreAdj;
			// As it is now: the container may have ended meanwhile, which is recorded under the same lock, so after this.
			await runtime.state.put({...container, resources: merged, exec: {...container.exec, oomScoreAdj}});
		});
	});
}

async function updateByHandler(
	runtime: Runtime,
	{container, merged}: {readonly container: ContainerRecord; readonly merged: ResourceFacts},
	undo: Rollback,
): Promise<void> {
	const pod = runtime.monitors.find(container.sandboxId);
	if (pod?.updateResources === undefined) return;
	undo.add('limits by the runtime handler', async () => await pod.updateResources?.(container.id, container.resources));
	await pod.updateResources(container.id, merged);
}

/** Rules between two fields hold for what they come to together, see mergeResources. */
const ALONE = {memorySwapLimitBytes: 0n};

/** What holds now, from the cgroup while the container has one, else as it was last asked for. */
export async function readResources(runtime: Pick<Runtime, 'kernel' | 'cgroups'>, container: ContainerRecord): Promise<ResourceFacts> {
	return hasCgroup(container) ? await readActualResources(runtime, container.cgroupPath, container.resources) : container.resources;
}

function hasCgroup({state}: ContainerRecord): boolean {
	return state.phase === 'created' || state.phase === 'running';
}
