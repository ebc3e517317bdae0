import type {RemoveImageRequest__Output, RemoveImageResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {requireMessage, requireText} from '../request.js';

/** RemoveImage. Drops all tags of the image, over all repositories. Idempotent: an absent image is success. */
export async function handleRemoveImage({runtime}: Call, request: RemoveImageRequest__Output): Promise<RemoveImageResponse> {
	await runtime.images.remove(requireText('image.image', requireMessage('image', request.image).image));
	return {};
}
