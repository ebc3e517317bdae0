import {UnimplementedError} from '../../base/errors.js';
import type {ImageOptions, RegistryAuth} from '../image.js';
import type {Reference} from '../reference.js';
import type {ImageTarget} from '../source.js';

export function openRegistryTarget(_reference: Reference, _auth: RegistryAuth | null, _options: ImageOptions): Promise<ImageTarget> {
	throw new UnimplementedError('push');
}
