import {Rollback} from '../../base/rollback.js';
import {toContainerId} from '../container/snapshots.js';
import {undoCreate} from '../container/undo.js';
import type {Runtime} from '../runtime.js';
import type {SandboxRecord} from '../sandbox/record.js';
import {stopLocked} from '../sandbox/stop.js';
import {addUndoSteps} from '../sandbox/undo.js';
import {compareContainers, creatingOf, endContainers} from './compare.js';

/** Monitors asked at once. Each answers from memory; this only bounds the sockets that are being opened. */
const CONCURRENCY = 32;

/**
 * Brings the journal's records and the machine together after a start: what was being made is undone, what runs is found again,
 * what ended meanwhile is recorded. Where they differ the monitor's word wins. One sandbox that cannot be recovered harms no other.
 */
export async function recover(runtime: Runtime): Promise<void> {
	const alive = new Set(await runtime.launcher.listMonitors());
	const sandboxes = [...runtime.state.sandboxes()];
	const known = new Set(sandboxes.map(({id}) => id));
	await eachOf(sandboxes, async record => {
		try {
			await recoverSandbox(runtime, record, alive.has(record.id));
		} catch (error) {
			runtime.log.error({sandboxId: record.id, err: error}, 'pod sandbox not recovered; StopPodSandbox or RemovePodSandbox tries again');
		}
	});
	await eachOf(
		[...alive].filter(id => !known.has(id)),
		id => destroyStray(runtime, id),
	);
	await removeStraySnapshots(runtime);
}

/** A pod's monitor died, now or while no daemon ran. Its processes were killed by the launcher; the pod is over. */
export async function recordMonitorLost(runtime: Runtime, sandboxId: string): Promise<void> {
	runtime.monitors.delete(sandboxId);
	await runtime.locks.run(sandboxId, async () => {
		const record = runtime.state.sandbox(sandboxId);
		if (record === null || record.state.phase === 'notReady' || record.state.phase === 'creating') return;
		await endSandbox(runtime, record, 'MonitorLost', "the pod's monitor died");
	});
}

async function recoverSandbox(runtime: Runtime, record: SandboxRecord, monitorAlive: boolean): Promise<void> {
	await runtime.locks.run(record.id, async () => {
		if (record.state.phase === 'creating') return await undoSandbox(runtime, record);
		if (record.state.phase === 'notReady') {
			// A remove that was cut short may have left half-made containers.
			for (const container of creatingOf(runtime, record.id)) await undoCreate(runtime, container);
			return;
		}
		const monitor = monitorAlive && record.bootId === runtime.options.bootId ? await runtime.monitors.reconnect(runtime.handlers, record) : null;
		if (monitor === null)
			return await endSandbox(runtime, record, 'MonitorLost', record.bootId === runtime.options.bootId ? "the pod's monitor died" : 'the node was restarted');
		await compareContainers(runtime, monitor, record.id);
		if (record.state.phase === 'stopping') await stopLocked(runtime, record, 'Stopped');
	});
}

/** Under the sandbox's lock: the processes are gone; records, network and files follow. */
async function endSandbox(runtime: Runtime, record: SandboxRecord, reason: string, message: string): Promise<void> {
	await endContainers(runtime, record.id, message);
	await stopLocked(runtime, record, reason);
}

async function undoSandbox(runtime: Runtime, record: SandboxRecord): Promise<void> {
	const rollback = new Rollback();
	addUndoSteps(rollback, runtime, record);
	const failed = await rollback.undo();
	if (failed.length > 0) {
		runtime.log.error({sandboxId: record.id, errors: failed.map(error => error.message)}, 'unfinished RunPodSandbox not wholly undone');
		await runtime.state.put({...record, state: {phase: 'stopping'}});
	}
}

/** A monitor that the journal does not know: its sandbox's removal was journalled, its end was not reached. */
async function destroyStray(runtime: Runtime, sandboxId: string): Promise<void> {
	runtime.log.warn({sandboxId}, 'monitor without a record: its pod is ended');
	try {
		await (await runtime.launcher.findMonitor(sandboxId))?.destroy();
	} catch (error) {
		runtime.log.error({sandboxId, err: error}, 'stray monitor not ended');
	}
}

async function removeStraySnapshots(runtime: Runtime): Promise<void> {
	for (const key of runtime.images.snapshotKeys()) if (runtime.state.container(toContainerId(key)) === null) await runtime.images.removeSnapshot(key);
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
	const queue = items.values();
	const worker = async (): Promise<void> => {
		for (const item of queue) await work(item);
	};
	await Promise.all(Array.from({length: CONCURRENCY}, worker));
}
