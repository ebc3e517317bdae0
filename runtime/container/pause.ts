import {WrongStateError} from '../../base/errors.js';
import {freezeCgroup, thawCgroup} from '../cgroup/freezer.js';
import type {Runtime} from '../runtime.js';
import {assertFound} from './find.js';
import {assertRunning, type ContainerRecord} from './record.js';

/**
 * Stops all processes of a running container where they are. Idempotent. For the CRI it goes on running.
 *
 * @returns false when it was paused already.
 * @throws {NotFoundError | WrongStateError} no such container, or not running, or being stopped. {UnimplementedError | TimedOutError} it cannot be frozen; then
 * it runs on.
 */
export async function pauseContainer(runtime: Runtime, id: string): Promise<boolean> {
	return await runtime.locks.run(id, async () => {
		const container = assertFound(runtime.state.container(id), id);
		assertRunning(container);
		assertNotEnding(runtime, id);
		const wasPaused = isPaused(container);
		// Known first: should the daemon die in between, nobody waits for a frozen process in vain.
		if (!wasPaused) await runtime.state.put({...container, paused: true});
		try {
			await freeze(runtime, container);
			// Since a stop takes no lock it may have thawed what was not frozen yet.
			assertNotEnding(runtime, id);
		} catch (error) {
			if (runtime.endings.has(id)) await thaw(runtime, container);
			if (!wasPaused || runtime.endings.has(id)) await runtime.state.put({...container, paused: false});
			throw error;
		}
		return !wasPaused;
	});
}

function assertNotEnding({endings}: Runtime, id: string): void {
	if (endings.has(id)) throw new WrongStateError('container', id, 'being stopped', 'running');
}

/**
 * Lets a paused container go on. Idempotent.
 *
 * @returns false when it was not paused.
 * @throws {NotFoundError | WrongStateError} no such container, or not running.
 */
export async function unpauseContainer(runtime: Runtime, id: string): Promise<boolean> {
	return await runtime.locks.run(id, async () => {
		const container = assertFound(runtime.state.container(id), id);
		assertRunning(container);
		await thaw(runtime, container);
		if (!isPaused(container)) return false;
		await runtime.state.put({...container, paused: false});
		return true;
	});
}

/**
 * For a container among the Endings that has been sent a signal: what is frozen by v1 does not even die before it is thawed. Takes no lock; a pause that is
 * on its way thaws it itself.
 */
export async function thawForSignal(runtime: Runtime, id: string): Promise<void> {
	const container = runtime.state.container(id);
	if (container !== null && isPaused(container)) await thaw(runtime, container);
}

async function freeze(runtime: Runtime, {id, sandboxId, cgroupPath}: ContainerRecord): Promise<void> {
	const pod = runtime.monitors.find(sandboxId);
	if (pod?.pause === undefined) await freezeCgroup(runtime, cgroupPath);
	else await pod.pause(id);
}

async function thaw(runtime: Runtime, {id, sandboxId, cgroupPath}: ContainerRecord): Promise<void> {
	const pod = runtime.monitors.find(sandboxId);
	if (pod?.resume === undefined) await thawCgroup(runtime, cgroupPath);
	else await pod.resume(id);
}

export function isPaused({paused}: ContainerRecord): boolean {
	return paused === true;
}
