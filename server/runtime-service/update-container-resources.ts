import {InvalidArgumentError} from '../../base/errors.js';
import type {UpdateContainerResourcesRequest__Output, UpdateContainerResourcesResponse} from '../../proto/cri.js';
import {toResourceFacts} from '../../runtime/cgroup/resources.js';
import {updateContainer} from '../../runtime/container/update.js';
import type {Call} from '../call.js';
import {findContainer} from '../request.js';

/**
 * UpdateContainerResources. All of the limits are in force when it answers without an error, else none of them. 0 and '' leave what is.
 *
 * INVALID_ARGUMENT: a field out of range, or refused by the kernel. NOT_FOUND: no such container. FAILED_PRECONDITION: neither created nor running.
 */
export async function handleUpdateContainerResources(
	{runtime}: Call,
	request: UpdateContainerResourcesRequest__Output,
): Promise<UpdateContainerResourcesResponse> {
	if (request.windows !== null) throw new InvalidArgumentError('windows is set on a Linux node', {field: 'windows'});
	const own = Object.keys(request.annotations).find(name => name.startsWith('berth.io/'));
	if (own !== undefined) throw new InvalidArgumentError(`annotations: ${own} cannot be changed after CreateContainer`, {field: 'annotations'});
	const {id} = findContainer(runtime, 'container_id', request.container_id);
	await updateContainer(runtime, id, toResourceFacts(request.linux));
	return {};
}
