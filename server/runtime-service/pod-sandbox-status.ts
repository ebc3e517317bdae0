import type {PodSandboxStatusRequest__Output, PodSandboxStatusResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {toSandboxInfo} from '../convert/info.js';
import {toPodSandboxStatus} from '../convert/sandbox.js';
import {findSandbox} from '../request.js';

/** PodSandboxStatus. NOT_FOUND: no such sandbox, or an id prefix that fits several. */
export async function handlePodSandboxStatus({runtime}: Call, request: PodSandboxStatusRequest__Output): Promise<PodSandboxStatusResponse> {
	const record = findSandbox(runtime, 'pod_sandbox_id', request.pod_sandbox_id);
	const status = toPodSandboxStatus(record);
	if (!request.verbose) return {status};
	return {status, info: toSandboxInfo(record, runtime.monitors.find(record.id)?.pid ?? null)};
}
