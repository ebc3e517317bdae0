import type {VersionRequest__Output, VersionResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';

/** Version. The kubelet refuses a reply with an empty field. `version` is the kubelet's own API version, which it has sent as 0.1.0 for ever. */
export async function handleVersion({facts}: Call, _request: VersionRequest__Output): Promise<VersionResponse> {
	return {version: '0.1.0', runtime_name: 'berth', runtime_version: facts.version, runtime_api_version: 'v1'};
}
