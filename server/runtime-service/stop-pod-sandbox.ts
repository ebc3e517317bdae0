import type {StopPodSandboxRequest__Output, StopPodSandboxResponse} from '../../proto/cri.js';
import {stopSandbox} from '../../runtime/sandbox/stop.js';
import type {Call} from '../call.js';
import {requireText} from '../request.js';

/** StopPodSandbox. Idempotent: an unknown id is success. The client going away does not end it half way. */
export async function handleStopPodSandbox({runtime}: Call, request: StopPodSandboxRequest__Output): Promise<StopPodSandboxResponse> {
	await stopSandbox(runtime, requireText('pod_sandbox_id', request.pod_sandbox_id));
	return {};
}
