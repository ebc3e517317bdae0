import {CancelledError, CorruptError, InvalidArgumentError, throwIfCancelled} from '../base/errors.js';
import type {ImageConfig, ImageOptions} from './image.js';
import type {LayerStore} from './layer/layer-store.js';
import {assertDigest, choosePlatform, type ConfigPlatform, type Descriptor, digestOf, toImageConfig, toIndex, toJsonText, toManifest} from './manifest.js';
import type {ImageSource} from './source.js';

const MAX_INDEX_DEPTH = 4;
const MAX_CONFIG_BYTES = 8 << 20;

/** All of an image, its layers unpacked; not yet recorded. */
export interface FetchedImage {
	/** Digest of the config. */
	readonly id: string;
	/** Of the manifest or index that the reference named. */
	readonly digest: string;
	readonly config: ImageConfig;
	readonly configJson: string;
	readonly sizeBytes: number;
	readonly manifest: {readonly digest: string; readonly mediaType: string; readonly json: string};
	readonly layers: readonly FetchedLayer[];
}
export interface FetchedLayer {
	readonly descriptor: Descriptor;
	readonly diffId: string;
	/** The layer on all that is below it: what is kept on disk once. */
	readonly chainId: string;
	/** Chain ids of the layers below, lowest first. */
	readonly below: readonly string[];
}

export interface FetchParts {
	readonly options: ImageOptions;
	readonly layers: LayerStore;
	/** Asks the signature policy about what was resolved: the manifest or index that was named, and this machine's manifest. */
	readonly assertAllowed: (digests: readonly string[]) => Promise<void>;
	/** Runs at most maxConcurrentDownloads at once, over all pulls. */
	readonly limit: <T>(work: () => Promise<T>) => Promise<T>;
}

/**
 * Fetches the image that `tagOrDigest` names at the source: index → this machine's manifest → config → layers, several at once.
 * The policy is asked as soon as the manifest is known, before anything that it names is fetched.
 * `known` is called with the layers before the first is fetched, so that no collection takes one away meanwhile.
 *
 * @throws {CorruptError} a digest, size or form is wrong. {InvalidArgumentError} no such platform, unknown media types. Whatever the source and the policy throw.
 */
export async function fetchImage(
	parts: FetchParts,
	source: ImageSource,
	tagOrDigest: string,
	known: (layers: readonly FetchedLayer[]) => void,
	signal: AbortSignal,
): Promise<FetchedImage> {
	const {bytes, digest} = await fetchManifest(parts, source, tagOrDigest, signal);
	await parts.assertAllowed([digest, digestOf(bytes)]);
	const manifest = toManifest(bytes);
	const configBytes = await collectBlob(source, manifest.config, signal);
	const {config, diffIds, platform} = toImageConfig(configBytes);
	assertPlatform(platform, parts.options.platform);
	if (diffIds.length !== manifest.layers.length) throw new CorruptError(`image config names ${diffIds.length} layers, the manifest ${manifest.layers.length}`);
	const chainIds = toChainIds(diffIds);
	const layers = manifest.layers.map((descriptor, index) => ({
		descriptor,
		diffId: diffIds[index] ?? '',
		chainId: chainIds[index] ?? '',
		below: chainIds.slice(0, index),
	}));
	known(layers);
	await fetchLayers(parts, source, layers, signal);
	return {
		id: manifest.config.digest,
		digest,
		config,
		configJson: toJsonText(configBytes, 'image config'),
		sizeBytes: manifest.layers.reduce((sum, {size}) => sum + size, manifest.config.size),
		manifest: {digest: digestOf(bytes), mediaType: manifest.mediaType, json: toJsonText(bytes, 'manifest')},
		layers,
	};
}

/** image-spec config.md, "Layer ChainID". */
export function toChainIds(diffIds: readonly string[]): readonly string[] {
	let chainId = '';
	return diffIds.map(diffId => {
		chainId = chainId === '' ? diffId : digestOf(Buffer.from(`${chainId} ${diffId}`));
		return chainId;
	});
}

/** An index is chosen from, but a bare manifest says only in its config what it is for. @throws {InvalidArgumentError} */
function assertPlatform(found: ConfigPlatform, wanted: ImageOptions['platform']): void {
	const fits = (found.os === '' || found.os === wanted.os) && (found.architecture === '' || found.architecture === wanted.architecture);
	if (!fits)
		throw new InvalidArgumentError(`image is for ${found.os || '?'}/${found.architecture || '?'}, this machine is ${wanted.os}/${wanted.architecture}`);
}

async function fetchManifest(
	parts: FetchParts,
	source: ImageSource,
	tagOrDigest: string,
	signal: AbortSignal,
): Promise<{readonly bytes: Uint8Array; readonly digest: string}> {
	let bytes = await source.manifest(tagOrDigest, signal);
	if (tagOrDigest.startsWith('sha256:')) assertDigest(bytes, tagOrDigest, 'manifest');
	const digest = digestOf(bytes);
	for (let depth = 0; depth < MAX_INDEX_DEPTH; depth++) {
		const entries = toIndex(bytes);
		if (entries === null) return {bytes, digest};
		const chosen = choosePlatform(entries, parts.options.platform);
		bytes = await source.manifest(chosen.digest, signal);
		assertDigest(bytes, chosen.digest, 'manifest');
	}
	throw new CorruptError(`index leads to indexes more than ${MAX_INDEX_DEPTH} deep`);
}

async function collectBlob(source: ImageSource, descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
	if (descriptor.size > MAX_CONFIG_BYTES) throw new CorruptError(`image config of ${descriptor.size} bytes is longer than ${MAX_CONFIG_BYTES}`);
	const chunks: Uint8Array[] = [];
	for await (const chunk of source.blob(descriptor, signal)) chunks.push(chunk);
	const bytes = Buffer.concat(chunks);
	assertDigest(bytes, descriptor.digest, 'image config');
	return bytes;
}

/** All of them; when one fails the others are given up, and the layer store clears away what still arrives. @throws the first failure. */
async function fetchLayers(parts: FetchParts, source: ImageSource, layers: readonly FetchedLayer[], signal: AbortSignal): Promise<void> {
	const failed = new AbortController();
	const either = AbortSignal.any([signal, failed.signal]);
	let first: unknown = null;
	await Promise.all(
		layers.map(async layer => {
			try {
				await parts.limit(async () => {
					throwIfCancelled(either, 'pull');
					return await parts.layers.ensure(source, layer, either);
				});
			} catch (error) {
				first ??= error;
				failed.abort(new CancelledError('another layer failed'));
			}
		}),
	);
	if (first !== null) throw first;
}

/** At most `count` of the works at once. */
export function toLimit(count: number): FetchParts['limit'] {
	let running = 0;
	const waiting: (() => void)[] = [];
	return async work => {
		if (running >= count) await new Promise<void>(resolve => waiting.push(resolve));
		else running++;
		try {
			return await work();
		} finally {
			const next = waiting.shift();
			if (next === undefined) running--;
			else next();
		}
	};
}
