import type {ListImagesRequest__Output, ListImagesResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {toImage} from '../convert/image.js';

/** ListImages: from memory. The filter names one image by id or reference. */
export async function handleListImages({runtime}: Call, request: ListImagesRequest__Output): Promise<ListImagesResponse> {
	const wanted = request.filter?.image?.image ?? '';
	if (wanted === '') return {images: runtime.images.list().map(toImage)};
	const found = runtime.images.find(wanted);
	return {images: found === null ? [] : [toImage(found)]};
}
