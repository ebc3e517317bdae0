import type {ImageStatusRequest__Output, ImageStatusResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {toImage} from '../convert/image.js';
import {toImageInfo} from '../convert/info.js';
import {requireMessage, requireText} from '../request.js';

/** ImageStatus. An absent image is a reply without one, not an error (api.proto). */
export async function handleImageStatus({runtime}: Call, request: ImageStatusRequest__Output): Promise<ImageStatusResponse> {
	const reference = requireText('image.image', requireMessage('image', request.image).image);
	const found = runtime.images.find(reference);
	if (found === null) return {image: null};
	return request.verbose ? {image: toImage(found), info: toImageInfo(found)} : {image: toImage(found)};
}
