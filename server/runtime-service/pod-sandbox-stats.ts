import type {PodSandboxStatsRequest__Output, PodSandboxStatsResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {findSandbox} from '../request.js';
import {readPodStats} from './list-pod-sandbox-stats.js';

/** PodSandboxStats. NOT_FOUND: no such pod sandbox. Of a stopped one there are only its attributes. */
export async function handlePodSandboxStats(call: Call, request: PodSandboxStatsRequest__Output): Promise<PodSandboxStatsResponse> {
	const record = findSandbox(call.runtime, 'pod_sandbox_id', request.pod_sandbox_id);
	const [stats = null] = await readPodStats(call, [record]);
	return {stats};
}
