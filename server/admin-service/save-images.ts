import {InvalidArgumentError} from '../../base/errors.js';
import type {ArchiveFormat} from '../../image/image.js';
import type {SaveImagesRequest__Output, SaveImagesResponse} from '../../proto/admin.js';
import type {Call} from '../call.js';
import {requireAbsolutePath} from './absolute-path.js';
import {toNamedImage} from './named-image.js';

const FORMATS: readonly ArchiveFormat[] = ['oci-dir', 'oci-archive', 'docker-archive'];

/** SaveImages of admin.proto. NOT_FOUND: an image. ALREADY_EXISTS: the directory. */
export async function handleSaveImages({runtime, signal}: Call, request: SaveImagesRequest__Output): Promise<SaveImagesResponse> {
	const path = requireAbsolutePath('path', request.path);
	if (request.images.length === 0) throw new InvalidArgumentError('images must name at least one image', {field: 'images'});
	const format = FORMATS.find(known => known === request.format);
	if (format === undefined)
		throw new InvalidArgumentError(`format must be one of ${FORMATS.join(', ')}, is ${JSON.stringify(request.format)}`, {field: 'format'});
	return {images: (await runtime.images.save(request.images, path, format, signal)).map(toNamedImage)};
}
