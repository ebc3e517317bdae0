import type {UpdatePodSandboxResourcesRequest__Output, UpdatePodSandboxResourcesResponse} from '../../proto/cri.js';
import {toResourceFacts} from '../../runtime/cgroup/resources.js';
import {updateSandboxResources} from '../../runtime/sandbox/update-resources.js';
import type {Call} from '../call.js';
import {findSandbox} from '../request.js';

/**
 * UpdatePodSandboxResources: overhead and sum of the containers', for the pod's own cgroup. The kubelet takes any error but UNIMPLEMENTED for a no to the resize.
 *
 * INVALID_ARGUMENT: a field out of range, or refused by the kernel. NOT_FOUND: no such pod sandbox. FAILED_PRECONDITION: it is not ready.
 */
export async function handleUpdatePodSandboxResources(
	{runtime}: Call,
	request: UpdatePodSandboxResourcesRequest__Output,
): Promise<UpdatePodSandboxResourcesResponse> {
	const {id} = findSandbox(runtime, 'pod_sandbox_id', request.pod_sandbox_id);
	await updateSandboxResources(runtime, id, {
		overhead: request.overhead === null ? null : toResourceFacts(request.overhead),
		resources: request.resources === null ? null : toResourceFacts(request.resources),
	});
	return {};
}
