import type {ContainerStatusRequest__Output, ContainerStatusResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {toContainerStatus} from '../convert/container.js';
import {toContainerInfo} from '../convert/info.js';
import {findContainer} from '../request.js';

/** ContainerStatus. NOT_FOUND: no such container, or an id prefix that fits several. */
export async function handleContainerStatus({runtime}: Call, request: ContainerStatusRequest__Output): Promise<ContainerStatusResponse> {
	const record = findContainer(runtime, 'container_id', request.container_id);
	const status = toContainerStatus(record, runtime.images.find(record.image.id));
	return request.verbose ? {status, info: toContainerInfo(record)} : {status};
}
