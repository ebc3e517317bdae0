import type {UnpauseRequest__Output, UnpauseResponse} from '../../proto/admin.js';
import {unpause} from '../../runtime/sandbox/pause.js';
import type {Call} from '../call.js';
import {requireText} from '../request.js';

/** Unpause of admin.proto. NOT_FOUND: no such container or pod sandbox. FAILED_PRECONDITION: not running. */
export async function handleUnpause({runtime}: Call, request: UnpauseRequest__Output): Promise<UnpauseResponse> {
	return {container_ids: [...(await unpause(runtime, requireText('id', request.id)))]};
}
