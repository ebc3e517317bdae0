import type {Runtime} from '../runtime.js';
import {thawForSignal} from './pause.js';

const SIGKILL = 9;
/** A process that SIGKILL does not end in this time hangs in the kernel (a dead mount, say). */
const KILL_TIMEOUT_MS = 10_000;

/**
 * Kills all of the container's processes and waits until its exit is recorded. Takes no lock: recording the exit does.
 *
 * @returns false when it did not end in time; what to do then is the caller's.
 */
export async function killContainer(runtime: Runtime, id: string): Promise<boolean> {
	const container = runtime.state.container(id);
	if (container === null || (container.state.phase !== 'running' && container.state.phase !== 'created')) return true;
	return await runtime.endings.during(id, async () => {
		await runtime.monitors.find(container.sandboxId)?.signal(id, SIGKILL, true);
		await thawForSignal(runtime, id);
		return await waitForExit(runtime, id, KILL_TIMEOUT_MS, null);
	});
}

/** @returns false at the timeout or when `signal` aborts. */
export async function waitForExit(runtime: Runtime, id: string, timeoutMs: number, signal: AbortSignal | null): Promise<boolean> {
	const done = new AbortController();
	const leave = (): void => done.abort();
	signal?.addEventListener('abort', leave, {once: true});
	if (signal?.aborted === true) leave();
	void runtime.clock.sleep(timeoutMs, done.signal).then(leave);
	try {
		return await runtime.state.whenExited(id, done.signal);
	} finally {
		signal?.removeEventListener('abort', leave);
		leave();
	}
}
