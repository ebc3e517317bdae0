import type {RemovePodSandboxRequest__Output, RemovePodSandboxResponse} from '../../proto/cri.js';
import {removeSandbox} from '../../runtime/sandbox/remove.js';
import type {Call} from '../call.js';
import {requireText} from '../request.js';

/** RemovePodSandbox. Stops it first when needed and removes its containers. Idempotent: an unknown id is success. */
export async function handleRemovePodSandbox({runtime}: Call, request: RemovePodSandboxRequest__Output): Promise<RemovePodSandboxResponse> {
	await removeSandbox(runtime, requireText('pod_sandbox_id', request.pod_sandbox_id));
	return {};
}
