import type {ContainerStatusRequest__Output, ContainerStatusResponse} from '../../proto/cri.js';
import {readResources} from '../../runtime/container/update.js';
import type {Call} from '../call.js';
import {toContainerStatus} from '../convert/container.js';
import {toContainerInfo} from '../convert/info.js';
import {toLinuxContainerResources} from '../convert/resources.js';
import {findContainer} from '../request.js';

/** ContainerStatus. `resources` are read back from the cgroup while there is one. NOT_FOUND: no such container, or an id prefix that fits several. */
export async function handleContainerStatus({runtime}: Call, request: ContainerStatusRequest__Output): Promise<ContainerStatusResponse> {
	const record = findContainer(runtime, 'container_id', request.container_id);
	const resources = await readResources(runtime, record);
	const status = {...toContainerStatus(record, runtime.images.find(record.image.id)), resources: {linux: toLinuxContainerResources(resources)}};
	return request.verbose ? {status, info: toContainerInfo(record)} : {status};
}
