import type {ExitRecord} from '../../native/native.js';
import type {Runtime} from '../runtime.js';
import type {ContainerRecord, ContainerState} from './record.js';

/**
 * A container's process ended: the one way from running (or created) to exited, whether the monitor says so now or recovery
 * finds it. Idempotent: the first word stays.
 */
export async function recordExit(runtime: Runtime, containerId: string, exit: ExitRecord): Promise<void> {
	await runtime.locks.run(containerId, async () => {
		const container = runtime.state.container(containerId);
		// While it is being created its creator sees the failure itself.
		if (container === null || container.state.phase === 'exited' || container.state.phase === 'creating') return;
		await putExited(runtime, container, toExited(container.state, exit));
	});
}

/** Under the container's lock. */
export async function putExited(runtime: Runtime, container: ContainerRecord, state: ContainerState & {readonly phase: 'exited'}): Promise<void> {
	await runtime.state.put({...container, state, pid: 0, ...(container.paused === true ? {paused: false} : {})});
	runtime.events.publish({containerId: container.id, sandboxId: container.sandboxId, kind: 'stopped'});
}

/** Reasons as the peers and the kubelet's users know them. */
export function toExited(before: ContainerState, exit: ExitRecord): ContainerState & {readonly phase: 'exited'} {
	return {
		phase: 'exited',
		startedAtNs: before.phase === 'running' ? before.startedAtNs : 0n,
		finishedAtNs: exit.finishedAtNs,
		exitCode: exit.exitCode,
		reason: exit.oomKilled ? 'OOMKilled' : exit.exitCode === 0 ? 'Completed' : 'Error',
		message: '',
	};
}

/** How it ended nobody saw: the pod's monitor died, or the machine went down. What the peers report for it (exit code 255, reason Unknown; containerd internal/cri/server/restart.go). */
export function lostExit(before: ContainerState, finishedAtNs: bigint, message: string): ContainerState & {readonly phase: 'exited'} {
	return {phase: 'exited', startedAtNs: before.phase === 'running' ? before.startedAtNs : 0n, finishedAtNs, exitCode: 255, reason: 'Unknown', message};
}
