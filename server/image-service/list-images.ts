import type {ImageRecord} from '../../image/image.js';
import type {ImageFilter__Output, ListImagesRequest__Output, ListImagesResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {toImage} from '../convert/image.js';

/** ListImages: from memory. */
export async function handleListImages(call: Call, request: ListImagesRequest__Output): Promise<ListImagesResponse> {
	return {images: findListed(call, request.filter).map(toImage)};
}

/** The filter names one image by id or reference. */
export function findListed({runtime}: Call, filter: ImageFilter__Output | null): readonly ImageRecord[] {
	const wanted = filter?.image?.image ?? '';
	if (wanted === '') return runtime.images.list();
	const found = runtime.images.find(wanted);
	return found === null ? [] : [found];
}
