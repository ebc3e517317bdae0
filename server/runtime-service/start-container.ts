import type {StartContainerRequest__Output, StartContainerResponse} from '../../proto/cri.js';
import {startContainer} from '../../runtime/container/start.js';
import type {Call} from '../call.js';
import {findContainer} from '../request.js';

/**
 * StartContainer. Answers after the container's program has been exec'd.
 *
 * NOT_FOUND: no such container. FAILED_PRECONDITION: not created, or its pod sandbox is not ready. INTERNAL: exec failed, the container is exited.
 */
export async function handleStartContainer({runtime}: Call, request: StartContainerRequest__Output): Promise<StartContainerResponse> {
	const {id} = findContainer(runtime, 'container_id', request.container_id);
	await startContainer(runtime, id);
	return {};
}
