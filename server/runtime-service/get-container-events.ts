import {ContainerEventType, type ContainerEventResponse, type GetEventsRequest__Output} from '../../proto/cri.js';
import type {ContainerEvent, ContainerEventKind} from '../../runtime/events/bus.js';
import type {Call} from '../call.js';
import {toContainerStatus} from '../convert/container.js';
import {toPodSandboxStatus} from '../convert/sandbox.js';

const TYPES: Readonly<Record<ContainerEventKind, ContainerEventType>> = {
	created: ContainerEventType.CONTAINER_CREATED_EVENT,
	started: ContainerEventType.CONTAINER_STARTED_EVENT,
	stopped: ContainerEventType.CONTAINER_STOPPED_EVENT,
	deleted: ContainerEventType.CONTAINER_DELETED_EVENT,
};

/**
 * GetContainerEvents: what happens to pods and containers from now on, after what happened lately while nobody listened. Each event has the pod as it was
 * then. Ends with the daemon. RESOURCE_EXHAUSTED: the client read too slowly, or too many listen.
 */
export async function* handleGetContainerEvents({runtime, signal}: Call, _request: GetEventsRequest__Output): AsyncGenerator<ContainerEventResponse> {
	const stream = runtime.events.open();
	try {
		for (let event = await stream.next(signal); event !== null; event = await stream.next(signal)) yield toEvent(event, id => runtime.images.find(id));
	} finally {
		stream.end();
	}
}

function toEvent({containerId, kind, atNs, sandbox, containers}: ContainerEvent, findImage: Call['runtime']['images']['find']): ContainerEventResponse {
	return {
		container_id: containerId,
		container_event_type: TYPES[kind],
		created_at: String(atNs),
		pod_sandbox_status: sandbox === null ? null : toPodSandboxStatus(sandbox),
		containers_statuses: containers.map(container => toContainerStatus(container, findImage(container.image.id))),
	};
}
