import type {LoadImageRequest__Output, LoadImageResponse} from '../../proto/admin.js';
import type {Call} from '../call.js';
import {requireAbsolutePath} from './absolute-path.js';
import {toNamedImage} from './named-image.js';

/** LoadImage of admin.proto: the CRI has no way to bring an image but a registry. INVALID_ARGUMENT: the path. DATA_LOSS: what lies there. */
export async function handleLoadImage({runtime}: Call, request: LoadImageRequest__Output): Promise<LoadImageResponse> {
	return {images: (await runtime.images.load(requireAbsolutePath('path', request.path))).map(toNamedImage)};
}
