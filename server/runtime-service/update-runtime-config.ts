import type {UpdateRuntimeConfigRequest__Output, UpdateRuntimeConfigResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';

/** UpdateRuntimeConfig carries only a pod CIDR for a network that the runtime makes itself; the node's CNI config has its own. Noted, not used. */
export async function handleUpdateRuntimeConfig({log}: Call, request: UpdateRuntimeConfigRequest__Output): Promise<UpdateRuntimeConfigResponse> {
	log.info({podCidr: request.runtime_config?.network_config?.pod_cidr ?? ''}, 'pod CIDR received; the CNI config decides on pod addresses');
	return {};
}
