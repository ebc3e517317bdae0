import {NotFoundError, TimedOutError, throwIfCancelled, WrongStateError} from '../../base/errors.js';
import type {Runtime} from '../runtime.js';
import {killContainer, waitForExit} from './kill.js';
import {isPaused, unpauseContainer} from './pause.js';

/**
 * Sends the stop signal, waits at most `timeoutMs`, then kills all that is left. Idempotent: unknown or not running is success.
 * A paused container goes on with the signal as the first that it sees, and is not paused again meanwhile. Holds no lock while it waits. When the client goes away the signal has been sent, and nothing more is done.
 *
 * @throws {TimedOutError} not even SIGKILL ended it. {CancelledError} the client went away.
 */
export async function stopContainer(runtime: Runtime, idOrPrefix: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
	let id: string;
	try {
		({id} = runtime.state.findContainer(idOrPrefix));
	} catch (error) {
		if (error instanceof NotFoundError) return;
		throw error;
	}
	const container = runtime.state.container(id);
	if (container === null || container.state.phase !== 'running') return;
	await runtime.endings.during(id, async () => {
		if (timeoutMs > 0) {
			await runtime.monitors.get(container.sandboxId).signal(id, container.stopSignal, false);
			await unpauseForStop(runtime, id);
			if (await waitForExit(runtime, id, timeoutMs, signal)) return;
			throwIfCancelled(signal, 'StopContainer');
		}
		if (!(await killContainer(runtime, id))) throw new TimedOutError(`container "${id}" did not end after SIGKILL`, {id});
	});
}

/** As it is after the signal: it may have been paused since the stop began. */
async function unpauseForStop(runtime: Runtime, id: string): Promise<void> {
	const container = runtime.state.container(id);
	if (container === null || !isPaused(container)) return;
	try {
		await unpauseContainer(runtime, id);
	} catch (error) {
		// It ended meanwhile.
		if (!(error instanceof WrongStateError || error instanceof NotFoundError)) throw error;
	}
}
