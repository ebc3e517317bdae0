import {createHash} from 'node:crypto';
import {CorruptError, InvalidArgumentError} from '../base/errors.js';
import type {ImageConfig, ImageOptions} from './image.js';

/** image-spec descriptor.md. */
export interface Descriptor {
	readonly mediaType: string;
	readonly digest: string;
	readonly size: number;
	readonly platform?: {readonly os?: string; readonly architecture?: string; readonly variant?: string};
}
export interface Manifest {
	readonly mediaType: string;
	readonly config: Descriptor;
	readonly layers: readonly Descriptor[];
}
export type Compression = 'none' | 'gzip' | 'zstd';

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX_TYPES = new Set(['application/vnd.oci.image.index.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json']);
export const MANIFEST_TYPES = [...INDEX_TYPES, OCI_MANIFEST, 'application/vnd.docker.distribution.manifest.v2+json'];
const CONFIG_TYPES = new Set(['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json']);
/** What an entry without a variant means (image-index.md; Go's GOAMD64 and GOARM64 defaults). */
const BASE_VARIANTS: Readonly<Record<string, string>> = {amd64: 'v1', arm64: 'v8'};
export const MAX_MANIFEST_BYTES = 4 << 20;
const MAX_LAYERS = 400;
const MAX_INDEX_ENTRIES = 1000;

export function digestOf(bytes: Uint8Array): string {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** @throws {CorruptError} not the bytes that the digest names. */
export function assertDigest(bytes: Uint8Array, digest: string, what: string): void {
	const found = digestOf(bytes);
	if (found !== digest) throw new CorruptError(`${what} has digest ${found}, must be ${digest}`);
}

/** An index's entries, or null for a manifest. @throws {CorruptError} neither, or both (image-spec, manifest.md: what one client takes for an index must not be a manifest to another). */
export function toIndex(bytes: Uint8Array): readonly Descriptor[] | null {
	const value = toObject(bytes, 'manifest');
	const isIndex = value['manifests'] !== undefined;
	if (isIndex && (value['layers'] !== undefined || value['config'] !== undefined)) throw new CorruptError('manifest is an index and an image at once');
	const mediaType = toString(value['mediaType']);
	if (mediaType !== '' && (MANIFEST_TYPES.includes(mediaType) ? INDEX_TYPES.has(mediaType) !== isIndex : true))
		throw new InvalidArgumentError(`manifest of media type ${JSON.stringify(mediaType.slice(0, 100))} is ${isIndex ? 'no index' : 'no image'}`);
	if (!isIndex) return null;
	if (!Array.isArray(value['manifests'])) throw new CorruptError('index: manifests is not a list');
	if (value['manifests'].length > MAX_INDEX_ENTRIES) throw new CorruptError(`index has more than ${MAX_INDEX_ENTRIES} entries`);
	return value['manifests'].map(entry => toDescriptor(entry, 'manifests'));
}

/**
 * The entry for this machine: of its architecture the asked variant, else the least demanding one (image-index.md, platform variants).
 *
 * @throws {InvalidArgumentError} none.
 */
export function choosePlatform(entries: readonly Descriptor[], wanted: ImageOptions['platform']): Descriptor {
	const fits = entries.filter(({platform}) => platform?.os === wanted.os && platform.architecture === wanted.architecture);
	const variantOf = ({platform}: Descriptor): string => platform?.variant ?? BASE_VARIANTS[wanted.architecture] ?? '';
	const base = wanted.variant ?? BASE_VARIANTS[wanted.architecture] ?? '';
	const lowest = fits.toSorted((a, b) => variantOf(a).localeCompare(variantOf(b), 'en', {numeric: true}));
	const chosen =
		fits.find(entry => variantOf(entry) === base) ?? lowest[0] ?? (entries.length === 1 && entries[0]?.platform === undefined ? entries[0] : undefined);
	if (chosen !== undefined) return chosen;
	const offered = entries.slice(0, 20).map(({platform}) => `${toString(platform?.os) || '?'}/${toString(platform?.architecture) || '?'}`);
	throw new InvalidArgumentError(`image has no variant for ${wanted.os}/${wanted.architecture}, only for ${offered.join(', ') || 'nothing'}`);
}

/** @throws {CorruptError | InvalidArgumentError} malformed, or a kind that is no image, or layers that cannot be had. */
export function toManifest(bytes: Uint8Array): Manifest {
	const value = toObject(bytes, 'manifest');
	if (value['schemaVersion'] !== 2) throw new InvalidArgumentError('manifest has schemaVersion other than 2: Docker schema 1 images are not supported');
	if (!Array.isArray(value['layers'])) throw new CorruptError('manifest has no layers');
	if (value['layers'].length > MAX_LAYERS) throw new InvalidArgumentError(`image has ${value['layers'].length} layers, at most ${MAX_LAYERS} can be mounted`);
	const config = toDescriptor(value['config'], 'config');
	if (!CONFIG_TYPES.has(config.mediaType))
		throw new InvalidArgumentError(`not a container image: its config has media type ${JSON.stringify(config.mediaType.slice(0, 100))}`);
	const layers = value['layers'].map(layer => toDescriptor(layer, 'layers'));
	// All of them before the first is fetched.
	for (const {mediaType} of layers) toCompression(mediaType);
	return {mediaType: toString(value['mediaType']) || OCI_MANIFEST, config, layers};
}

/** @throws {InvalidArgumentError} a layer that registries do not hold, or of a kind unknown. */
export function toCompression(mediaType: string): Compression {
	if (mediaType.includes('nondistributable') || mediaType.includes('foreign'))
		throw new InvalidArgumentError(`layer of media type ${mediaType} is foreign: it is not in the registry and cannot be pulled`);
	if (/tar\+gzip$|tar\.gzip$/.test(mediaType)) return 'gzip';
	if (/tar\+zstd$|tar\.zstd$/.test(mediaType)) return 'zstd';
	if (/\.tar$|layer\.v1\.tar$/.test(mediaType)) return 'none';
	throw new InvalidArgumentError(`layer has unknown media type ${mediaType}`);
}

/** What the image runs on, as its config says; '' for what it does not say. */
export interface ConfigPlatform {
	readonly os: string;
	readonly architecture: string;
}

/** image-spec config.md. @throws {CorruptError} */
export function toImageConfig(bytes: Uint8Array): {readonly config: ImageConfig; readonly diffIds: readonly string[]; readonly platform: ConfigPlatform} {
	const value = toObject(bytes, 'image config');
	const run = isObject(value['config']) ? value['config'] : {};
	const rootfs = isObject(value['rootfs']) ? value['rootfs'] : {};
	const diffIds = toStrings(rootfs['diff_ids']);
	if (diffIds.some(id => !/^sha256:[0-9a-f]{64}$/.test(id))) throw new CorruptError('image config: rootfs.diff_ids holds something else than sha256 digests');
	const labels = isObject(run['Labels']) ? Object.entries(run['Labels']).map(([key, label]) => [key, String(label)] as const) : [];
	const config = {
		user: toString(run['User']),
		env: toStrings(run['Env']),
		entrypoint: toStrings(run['Entrypoint']),
		cmd: toStrings(run['Cmd']),
		workingDir: toString(run['WorkingDir']),
		volumes: isObject(run['Volumes']) ? Object.keys(run['Volumes']) : [],
		stopSignal: toString(run['StopSignal']),
		labels: Object.fromEntries(labels),
	};
	return {config, diffIds, platform: {os: toString(value['os']), architecture: toString(value['architecture'])}};
}

function toDescriptor(value: unknown, field: string): Descriptor {
	if (!isObject(value)) throw new CorruptError(`manifest: ${field} is not a descriptor`);
	const {mediaType, digest, size} = value;
	if (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest)) throw new CorruptError(`manifest: ${field}.digest is not a sha256 digest`);
	if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw new CorruptError(`manifest: ${field}.size is not a size`);
	const descriptor = {mediaType: toString(mediaType), digest, size};
	return isObject(value['platform']) ? {...descriptor, platform: value['platform']} : descriptor;
}

/** The JSON as text that gives the same bytes again. @throws {CorruptError} it is not UTF-8. */
export function toJsonText(bytes: Uint8Array, what: string): string {
	const text = Buffer.from(bytes).toString('utf8');
	if (!Buffer.from(text, 'utf8').equals(bytes)) throw new CorruptError(`${what} is not UTF-8`);
	return text;
}

function toObject(bytes: Uint8Array, what: string): Record<string, unknown> {
	const text = toJsonText(bytes, what);
	try {
		const value: unknown = JSON.parse(text);
		if (isObject(value)) return value;
	} catch (cause) {
		throw new CorruptError(`${what} is not JSON`, {}, {cause});
	}
	throw new CorruptError(`${what} is not a JSON object`);
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function toString(value: unknown): string {
	return typeof value === 'string' ? value : '';
}

function toStrings(value: unknown): readonly string[] {
	return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
}
