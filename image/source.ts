import type {Descriptor} from './manifest.js';

/** Where an image's bytes come from: a registry, or a layout on disk. */
export interface ImageSource {
	/** Manifest or index by tag or digest; whole and within the size limit. Its digest is checked by the caller. */
	manifest(tagOrDigest: string, signal: AbortSignal): Promise<Uint8Array>;
	/** The blob's bytes in order; digest and length are checked by the caller. */
	blob(descriptor: Descriptor, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** Where an image's bytes go: a registry, or a layout on disk. */
export interface ImageTarget {
	/** True when the target has it already: nothing is to be sent. */
	hasBlob(descriptor: Descriptor, signal: AbortSignal): Promise<boolean>;
	/** `mountFrom`: a repository of the same registry that may have it too, or null. `open` is called at most once per attempt; the target checks digest and size. */
	putBlob(descriptor: Descriptor, open: () => AsyncIterable<Uint8Array>, mountFrom: string | null, signal: AbortSignal): Promise<void>;
	/** After all of its blobs. */
	putManifest(tagOrDigest: string, mediaType: string, bytes: Uint8Array, signal: AbortSignal): Promise<void>;
	close(): Promise<void>;
}
