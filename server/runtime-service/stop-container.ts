import type {StopContainerRequest__Output, StopContainerResponse} from '../../proto/cri.js';
import {stopContainer} from '../../runtime/container/stop.js';
import type {Call} from '../call.js';
import {requireText, toTimeoutMs} from '../request.js';

/** StopContainer. Idempotent: unknown or not running is success. INVALID_ARGUMENT: a negative timeout. */
export async function handleStopContainer({runtime, signal}: Call, request: StopContainerRequest__Output): Promise<StopContainerResponse> {
	const timeoutMs = toTimeoutMs('timeout', request.timeout);
	await stopContainer(runtime, requireText('container_id', request.container_id), timeoutMs, signal);
	return {};
}
