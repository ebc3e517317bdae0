import type {PauseRequest__Output, PauseResponse} from '../../proto/admin.js';
import {pause} from '../../runtime/sandbox/pause.js';
import type {Call} from '../call.js';
import {requireText} from '../request.js';

/** Pause of admin.proto. NOT_FOUND: no such container or pod sandbox. FAILED_PRECONDITION: not running. UNIMPLEMENTED: this machine has no freezer. */
export async function handlePause({runtime}: Call, request: PauseRequest__Output): Promise<PauseResponse> {
	return {container_ids: [...(await pause(runtime, requireText('id', request.id)))]};
}
