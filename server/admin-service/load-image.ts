import {isAbsolute} from 'node:path';
import {InvalidArgumentError} from '../../base/errors.js';
import type {LoadImageRequest__Output, LoadImageResponse} from '../../proto/admin.js';
import type {Call} from '../call.js';
import {requireText} from '../request.js';

/** LoadImage of admin.proto: the CRI has no way to bring an image but a registry. INVALID_ARGUMENT: the path. DATA_LOSS: what lies there. */
export async function handleLoadImage({runtime}: Call, request: LoadImageRequest__Output): Promise<LoadImageResponse> {
	const path = requireText('path', request.path);
	if (!isAbsolute(path) || path.includes('\0')) throw new InvalidArgumentError(`path must be absolute, is ${JSON.stringify(path)}`, {field: 'path'});
	const loaded = await runtime.images.load(path);
	return {images: loaded.map(({id, repoTags}) => ({id, repo_tags: [...repoTags]}))};
}
