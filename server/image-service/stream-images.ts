import type {StreamImagesRequest__Output, StreamImagesResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {toImage} from '../convert/image.js';
import {findListed} from './list-images.js';

/** Images per message: some 100 KB, far below a message's limit whatever the images' names. */
const CHUNK_IMAGES = 100;

/** StreamImages: what ListImages answers, in messages of a bounded size. Images that come or go meanwhile do not change what is sent. */
export async function* handleStreamImages(call: Call, request: StreamImagesRequest__Output): AsyncGenerator<StreamImagesResponse> {
	const images = findListed(call, request.filter);
	for (let start = 0; start < images.length; start += CHUNK_IMAGES) yield {images: images.slice(start, start + CHUNK_IMAGES).map(toImage)};
}
