import type {ImageOptions, RegistryAuth} from '../image.js';
import type {Reference} from '../reference.js';
import type {ImageTarget} from '../source.js';

export declare function openRegistryTarget(reference: Reference, auth: RegistryAuth | null, options: ImageOptions): Promise<ImageTarget>;
