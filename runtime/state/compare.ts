import type {MonitorContainer} from '../../native/native.js';
import {lostExit, putExited, recordExit} from '../container/exit.js';
import type {ContainerRecord} from '../container/record.js';
import {undoCreate} from '../container/undo.js';
import type {PodRuntime} from '../handler/handler.js';
import type {Runtime} from '../runtime.js';

/** Brings the records of a pod's containers and what its monitor says of them together. Under the sandbox's lock. The monitor's word wins. */
export async function compareContainers(runtime: Runtime, monitor: PodRuntime, sandboxId: string): Promise<void> {
	const told = new Map((await monitor.list()).map(container => [container.containerId, container]));
	for (const container of creatingOf(runtime, sandboxId)) {
		await undoCreate(runtime, container);
		told.delete(container.id);
	}
	for (const record of runtime.state.containersOf(sandboxId)) {
		await compareContainer(runtime, record, told.get(record.id) ?? null);
		told.delete(record.id);
	}
	// Removed from the journal, but the daemon died before it could tell the monitor.
	for (const stray of told.keys()) await monitor.removeContainer(stray);
}

async function compareContainer(runtime: Runtime, record: ContainerRecord, told: MonitorContainer | null): Promise<void> {
	if (record.state.phase === 'exited') return;
	if (told === null) {
		const finishedAtNs = runtime.clock.nowNs();
		await runtime.locks.run(record.id, () => putExited(runtime, record, lostExit(record.state, finishedAtNs, 'the monitor does not know it')));
		return;
	}
	if (record.state.phase === 'created' && told.startedAtNs > 0n) {
		// The daemon died between the release and the journal.
		await runtime.locks.run(record.id, () => runtime.state.put({...record, state: {phase: 'running', startedAtNs: told.startedAtNs}}));
		runtime.events.publish({containerId: record.id, sandboxId: record.sandboxId, kind: 'started'});
	}
	if (told.exit !== null) await recordExit(runtime, record.id, told.exit);
}

/** The processes of a pod's containers are gone, and how they ended nobody saw. Under the sandbox's lock. Idempotent. */
export async function endContainers(runtime: Runtime, sandboxId: string, message: string): Promise<void> {
	for (const container of runtime.state.containersOf(sandboxId)) {
		if (container.state.phase === 'creating') await undoCreate(runtime, container);
		else if (container.state.phase !== 'exited') {
			const finishedAtNs = runtime.clock.nowNs();
			await runtime.locks.run(container.id, () => putExited(runtime, container, lostExit(container.state, finishedAtNs, message)));
		}
	}
}

export function creatingOf(runtime: Runtime, sandboxId: string): readonly ContainerRecord[] {
	return runtime.state.containersOf(sandboxId).filter(({state}) => state.phase === 'creating');
}
