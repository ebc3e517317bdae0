import type {CreateContainerRequest__Output, CreateContainerResponse} from '../../proto/cri.js';
import {createContainer} from '../../runtime/container/create.js';
import type {Call} from '../call.js';
import {findSandbox, requireMessage} from '../request.js';

/**
 * CreateContainer. All set-up is done and the container's init parked when it answers. A retry joins the call in flight or finds the finished container.
 *
 * INVALID_ARGUMENT: config. NOT_FOUND: no such sandbox or image. FAILED_PRECONDITION: the sandbox is not ready.
 */
export async function handleCreateContainer({runtime, signal}: Call, request: CreateContainerRequest__Output): Promise<CreateContainerResponse> {
	const config = requireMessage('config', request.config);
	requireMessage('config.metadata', config.metadata);
	const {id} = findSandbox(runtime, 'pod_sandbox_id', request.pod_sandbox_id);
	return {container_id: await createContainer(runtime, id, config, signal)};
}
