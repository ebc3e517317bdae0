import {NotFoundError, TimedOutError} from '../../base/errors.js';
import {killContainer} from '../container/kill.js';
import type {Runtime} from '../runtime.js';
import {compareContainers, endContainers} from '../state/compare.js';
import {destroyMonitor, detach, unpin} from './undo.js';
import type {SandboxRecord} from './record.js';

/**
 * Kills the pod's containers, takes its network down, and ends its monitor. Idempotent: unknown or stopped is success; a failed
 * step leaves the sandbox `stopping` (listed as not ready), and the next call goes on with it.
 *
 * @throws {FailedError | TimedOutError} of a CNI plugin's DEL.
 */
export async function stopSandbox(runtime: Runtime, idOrPrefix: string): Promise<void> {
	let id: string;
	try {
		({id} = runtime.state.findSandbox(idOrPrefix));
	} catch (error) {
		if (error instanceof NotFoundError) return;
		throw error;
	}
	await runtime.locks.run(id, async () => {
		const record = runtime.state.sandbox(id);
		if (record === null || record.state.phase === 'notReady' || record.state.phase === 'creating') return;
		await stopLocked(runtime, record, 'Stopped');
	});
}

/** The work of stopSandbox, under the sandbox's lock. `reason` is kept in the record. */
export async function stopLocked(runtime: Runtime, record: SandboxRecord, reason: string): Promise<void> {
	if (record.state.phase !== 'stopping') await runtime.state.put({...record, state: {phase: 'stopping'}});
	if (runtime.monitors.find(record.id) === null) await findAgain(runtime, record);
	await Promise.all(runtime.state.containersOf(record.id).map(container => killContainer(runtime, container.id)));
	const unfinished = runtime.state.containersOf(record.id).find(({state}) => state.phase === 'running' || state.phase === 'created');
	if (unfinished !== undefined) throw new TimedOutError(`container "${unfinished.id}" did not end after SIGKILL`, {id: unfinished.id});
	// The pin keeps the namespace for the plugins' DEL while the monitor already goes.
	const results = await Promise.allSettled([detach(runtime, record), destroyMonitor(runtime, record)]);
	for (const result of results) if (result.status === 'rejected') throw result.reason;
	await unpin(runtime, record);
	await runtime.state.put({...record, state: {phase: 'notReady', reason}});
	runtime.events.publish({containerId: record.id, sandboxId: record.id, kind: 'stopped'});
}

/** A pod that could not be recovered at the daemon's start: what goes on in it is still to be found out, or its containers could never be ended. */
async function findAgain(runtime: Runtime, record: SandboxRecord): Promise<void> {
	if (runtime.state.containersOf(record.id).every(({state}) => state.phase === 'exited')) return;
	const monitor = record.bootId === runtime.options.bootId ? await runtime.monitors.reconnect(runtime.handlers, record) : null;
	if (monitor === null) await endContainers(runtime, record.id, "the pod's monitor died");
	else await compareContainers(runtime, monitor, record.id);
}
