import type {TagImageRequest__Output, TagImageResponse} from '../../proto/admin.js';
import type {Call} from '../call.js';
import {requireText} from '../request.js';
import {toNamedImage} from './named-image.js';

/** TagImage of admin.proto. NOT_FOUND: the image. INVALID_ARGUMENT: the target is not a name with a tag. */
export async function handleTagImage({runtime}: Call, request: TagImageRequest__Output): Promise<TagImageResponse> {
	return {image: toNamedImage(await runtime.images.tag(requireText('image', request.image), requireText('target', request.target)))};
}
