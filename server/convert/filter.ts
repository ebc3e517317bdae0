import {ContainerState, PodSandboxState, type ContainerFilter__Output, type PodSandboxFilter__Output} from '../../proto/cri.js';
import type {ContainerFilter, SandboxFilter} from '../../runtime/state/query.js';

export function toSandboxFilter(filter: PodSandboxFilter__Output | null): SandboxFilter {
	const state = filter?.state?.state;
	return {
		id: filter?.id ?? '',
		state: state === undefined ? null : state === PodSandboxState.SANDBOX_READY ? 'ready' : 'notReady',
		labels: filter?.label_selector ?? {},
	};
}

/** @returns null when the filter can fit nothing: it asks for CONTAINER_UNKNOWN, a state that no container of ours is in. */
export function toContainerFilter(filter: ContainerFilter__Output | null): ContainerFilter | null {
	const wanted = filter?.state?.state;
	const state = wanted === undefined ? null : STATES[wanted];
	if (state === undefined) return null;
	return {id: filter?.id ?? '', sandboxId: filter?.pod_sandbox_id ?? '', state, labels: filter?.label_selector ?? {}};
}

const STATES: Partial<Record<ContainerState & number, ContainerFilter['state']>> = {
	[ContainerState.CONTAINER_CREATED]: 'created',
	[ContainerState.CONTAINER_RUNNING]: 'running',
	[ContainerState.CONTAINER_EXITED]: 'exited',
};
