import type {RunPodSandboxRequest__Output, RunPodSandboxResponse} from '../../proto/cri.js';
import {runSandbox} from '../../runtime/sandbox/run.js';
import type {Call} from '../call.js';
import {requireMessage} from '../request.js';

/**
 * RunPodSandbox. Answers after the pod's network is up. A retry joins the call in flight or finds the finished sandbox.
 *
 * INVALID_ARGUMENT: config. ALREADY_EXISTS: a stopped sandbox has the same metadata. UNAVAILABLE: no pod network.
 */
export async function handleRunPodSandbox({runtime, signal}: Call, request: RunPodSandboxRequest__Output): Promise<RunPodSandboxResponse> {
	const config = requireMessage('config', request.config);
	requireMessage('config.metadata', config.metadata);
	return {pod_sandbox_id: await runSandbox(runtime, config, request.runtime_handler, signal)};
}
