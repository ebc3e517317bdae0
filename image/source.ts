import type {Descriptor} from './manifest.js';

/** Where an image's bytes come from: a registry, or a layout on disk. */
export interface ImageSource {
	/** Manifest or index by tag or digest; whole and within the size limit. Its digest is checked by the caller. */
	manifest(tagOrDigest: string, signal: AbortSignal): Promise<Uint8Array>;
	/** The blob's bytes in order; digest and length are checked by the caller. */
	blob(descriptor: Descriptor, signal: AbortSignal): AsyncIterable<Uint8Array>;
}
