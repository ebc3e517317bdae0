import {freezeCgroup, thawCgroup} from '../cgroup/freezer.js';
import type {Runtime} from '../runtime.js';
import {assertFound} from './find.js';
import {assertRunning, type ContainerRecord} from './record.js';

/**
 * Stops all processes of a running container where they are. Idempotent. For the CRI it goes on running.
 *
 * @returns false when it was paused already.
 * @throws {NotFoundError | WrongStateError} no such container, or not running. {UnimplementedError | TimedOutError} it cannot be frozen; then it runs on.
 */
export async function pauseContainer(runtime: Runtime, id: string): Promise<boolean> {
	return await runtime.locks.run(id, async () => {
		const container = assertFound(runtime.state.container(id), id);
		assertRunning(container);
		const wasPaused = isPaused(container);
		// Known first: should the daemon die in between, nobody waits for a frozen process in vain.
		if (!wasPaused) await runtime.state.put({...container, paused: true});
		try {
			await freeze(runtime, container);
		} catch (error) {
			if (!wasPaused) await runtime.state.put(container);
			throw error;
		}
		return !wasPaused;
	});
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

/** For a paused container that has been sent a signal: what is frozen by v1 does not even die before it is thawed. */
export async function thawForSignal(runtime: Runtime, container: ContainerRecord): Promise<void> {
	if (isPaused(container)) await thaw(runtime, container);
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
