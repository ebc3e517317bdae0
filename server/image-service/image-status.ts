import type {ImageStatusRequest__Output, ImageStatusResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {toImage} from '../convert/image.js';
import {toImageInfo, toPullInfo} from '../convert/info.js';
import {requireMessage, requireText} from '../request.js';

/** ImageStatus. An absent image is a reply without one, not an error (api.proto). Verbose: info "pull" tells of a pull of this reference in flight. */
export async function handleImageStatus({runtime}: Call, request: ImageStatusRequest__Output): Promise<ImageStatusResponse> {
	const reference = requireText('image.image', requireMessage('image', request.image).image);
	const found = runtime.images.find(reference);
	const image = found === null ? null : toImage(found);
	if (!request.verbose) return {image};
	const progress = runtime.images.pullProgress(reference);
	return {image, info: {...(found === null ? {} : toImageInfo(found)), ...(progress === null ? {} : toPullInfo(progress))}};
}
