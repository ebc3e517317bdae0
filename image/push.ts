import {FailedError} from '../base/errors.js';
import {type BlobParts, ImageBlobs} from './blobs.js';
import type {ImageRecord, PushedImage, RegistryAuth} from './image.js';
import type {Descriptor} from './manifest.js';
import {parseReference, type Reference, toName} from './reference.js';
import {openRegistryTarget} from './registry/push.js';
import type {ImageTarget} from './source.js';

export interface PushRequest {
	readonly record: ImageRecord;
	readonly target: Reference;
	readonly auth: RegistryAuth | null;
}

/** Blobs that the registry lacks, then the manifest: this machine's, byte for byte, so its digest stays. */
export async function pushImage(parts: BlobParts, {record, target, auth}: PushRequest, signal: AbortSignal): Promise<PushedImage> {
	const {manifest, blobs} = toParts(record);
	const registry = await openRegistryTarget(target, auth, parts);
	await using source = new ImageBlobs(parts, record, host => (host === target.registry ? auth : null));
	try {
		let sentBytes = 0;
		for (const {descriptor, bytes} of blobs) {
			const open = bytes === null ? () => source.read(descriptor, signal) : () => toStream(bytes);
			sentBytes += await send(registry, descriptor, {open, mountFrom: mountSource(record, target)}, signal);
		}
		await registry.putManifest(target.tag ?? manifest.digest, manifest.mediaType, Buffer.from(manifest.json), signal);
		return {reference: `${toName(target)}@${manifest.digest}`, digest: manifest.digest, sentBytes};
	} finally {
		await registry.close();
	}
}

interface Sending {
	readonly open: () => AsyncIterable<Uint8Array>;
	readonly mountFrom: string | null;
}

/** @returns how many bytes had to be sent. */
async function send(registry: ImageTarget, descriptor: Descriptor, {open, mountFrom}: Sending, signal: AbortSignal): Promise<number> {
	if (await registry.hasBlob(descriptor, signal)) return 0;
	let opened = false;
	const counted = (): AsyncIterable<Uint8Array> => {
		opened = true;
		return open();
	};
	await registry.putBlob(descriptor, counted, mountFrom, signal);
	return opened ? descriptor.size : 0;
}

/** A repository of the target's registry that the image came from: the registry can link blobs instead of receiving them. */
function mountSource(record: ImageRecord, target: Reference): string | null {
	for (const name of record.repoDigests) {
		const {registry, repository} = parseReference(name);
		if (registry === target.registry && repository !== target.repository) return repository;
	}
	return null;
}

export interface ImageParts {
	readonly manifest: NonNullable<ImageRecord['manifest']>;
	/** Config first; its bytes are at hand. */
	readonly blobs: readonly {readonly descriptor: Descriptor; readonly bytes: Uint8Array | null}[];
}

/** @throws {FailedError} a record that an older berth wrote. */
export function toParts(record: ImageRecord): ImageParts {
	if (record.manifest === null) throw new FailedError(`image ${record.id} was pulled by a berth that did not keep manifests: pull it again`);
	const {config} = JSON.parse(record.manifest.json) as {readonly config: Descriptor};
	const layers = record.layers.map(({digest, mediaType, sizeBytes}) => ({descriptor: {digest, mediaType, size: sizeBytes}, bytes: null}));
	return {manifest: record.manifest, blobs: [{descriptor: config, bytes: Buffer.from(record.configJson)}, ...layers]};
}

export async function* toStream(bytes: Uint8Array): AsyncIterable<Uint8Array> {
	yield bytes;
}
