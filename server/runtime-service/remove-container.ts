import type {RemoveContainerRequest__Output, RemoveContainerResponse} from '../../proto/cri.js';
import {removeContainer} from '../../runtime/container/remove.js';
import type {Call} from '../call.js';
import {requireText} from '../request.js';

/** RemoveContainer. Kills it first when it runs (api.proto: forcibly). Idempotent: an unknown id is success. */
export async function handleRemoveContainer({runtime}: Call, request: RemoveContainerRequest__Output): Promise<RemoveContainerResponse> {
	await removeContainer(runtime, requireText('container_id', request.container_id));
	return {};
}
