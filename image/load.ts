import {createReadStream} from 'node:fs';
import {constants, type FileHandle, open, realpath, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {CorruptError, InvalidArgumentError} from '../base/errors.js';
import type {Kernel} from '../native/native.js';
import {type Descriptor, digestOf, MAX_MANIFEST_BYTES, toImageConfig} from './manifest.js';
import type {ImageOrigin} from './policy/scope.js';
import type {ImageSource} from './source.js';

/** An image found in a layout or archive. */
export interface LoadableImage {
	/** As written there: "docker.io/library/busybox:1" or ''. */
	readonly names: readonly string[];
	/** What the signature policy goes by. */
	readonly origin: ImageOrigin;
	/** What to ask the source for. */
	readonly digest: string;
	readonly source: ImageSource;
}

const GZIP_MAGIC = 0x1f8b;

/** Unpacks a tar (plain or gzip) of an image into `targetDir`. @throws {CorruptError} {InvalidArgumentError} */
export async function unpackArchive(
	kernel: Kernel,
	path: string,
	targetDir: string,
	limits: {readonly maxBytes: number; readonly maxInodes: number},
): Promise<void> {
	const head = Buffer.alloc(2);
	const file = await open(path, 'r');
	await file.read(head, 0, 2, 0).finally(() => file.close());
	const unpacker = await kernel.openUnpacker({targetDir, compression: head.readUInt16BE(0) === GZIP_MAGIC ? 'gzip' : 'none', ...limits});
	try {
		for await (const chunk of createReadStream(path, {highWaterMark: 1 << 20}) as AsyncIterable<Buffer>) await unpacker.write(chunk);
		await unpacker.finish();
	} catch (error) {
		await unpacker.abort();
		throw error;
	}
}

/**
 * The images of an OCI layout (image-spec image-layout.md) or of what `docker save` writes.
 *
 * @param archivePath The archive that was unpacked into `dir`; null when there was none.
 * @throws {InvalidArgumentError} neither.
 */
export async function findImages(dir: string, archivePath: string | null): Promise<readonly LoadableImage[]> {
	const root = await realpath(dir);
	const path = archivePath === null ? root : await realpath(archivePath);
	if (await isFile(join(root, 'index.json'))) return await fromLayout(root, {transport: archivePath === null ? 'oci' : 'oci-archive', path});
	if (await isFile(join(root, 'manifest.json'))) return await fromDockerArchive(root, {transport: 'docker-archive', path});
	throw new InvalidArgumentError('path holds neither an OCI layout (index.json) nor a docker archive (manifest.json)', {field: 'path'});
}

async function fromLayout(root: string, origin: ImageOrigin): Promise<readonly LoadableImage[]> {
	const index = JSON.parse(Buffer.from(await readInside(root, 'index.json')).toString('utf8')) as {
		readonly manifests?: readonly (Descriptor & {readonly annotations?: Readonly<Record<string, string>>})[];
	};
	if (!Array.isArray(index.manifests)) throw new CorruptError('index.json has no manifests');
	const source: ImageSource = {
		manifest: async digest => await readInside(root, blobPath(digest)),
		blob: descriptor => streamInside(root, blobPath(descriptor.digest)),
	};
	const entries = index.manifests as readonly (Descriptor & {readonly annotations?: Readonly<Record<string, string>>})[];
	return entries.map(({digest, annotations}) => {
		const name = annotations?.['io.containerd.image.name'] ?? annotations?.['org.opencontainers.image.ref.name'] ?? '';
		// A bare tag names no repository.
		return {names: name.includes('/') || name.includes(':') ? [name] : [], origin, digest, source};
	});
}

interface DockerEntry {
	readonly Config: string;
	readonly RepoTags: readonly string[] | null;
	readonly Layers: readonly string[];
}

/** `docker save` has no manifest with digests: one is made from the files. */
async function fromDockerArchive(root: string, origin: ImageOrigin): Promise<readonly LoadableImage[]> {
	const entries = JSON.parse(Buffer.from(await readInside(root, 'manifest.json')).toString('utf8')) as readonly DockerEntry[];
	const images: LoadableImage[] = [];
	for (const entry of entries) {
		const config = await readInside(root, entry.Config);
		const {diffIds} = toImageConfig(config);
		const files = new Map<string, string>([[digestOf(config), entry.Config]]);
		const layers: Descriptor[] = [];
		for (const [index, path] of entry.Layers.entries()) {
			// Plain tars: their digest is the diffId, which unpacking verifies.
			const digest = diffIds[index] ?? '';
			files.set(digest, path);
			layers.push({mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: await sizeInside(root, path)});
		}
		const manifest = Buffer.from(
			JSON.stringify({
				schemaVersion: 2,
				config: {mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length},
				layers,
			}),
		);
		const source: ImageSource = {
			manifest: async () => manifest,
			blob: descriptor => streamInside(root, files.get(descriptor.digest) ?? blobPath(descriptor.digest)),
		};
		images.push({names: entry.RepoTags ?? [], origin, digest: digestOf(manifest), source});
	}
	return images;
}

function blobPath(digest: string): string {
	if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new CorruptError(`layout names ${JSON.stringify(digest.slice(0, 100))}, which is no sha256 digest`);
	return `blobs/sha256/${digest.slice(7)}`;
}

/** A regular file below `root`; a link that leads out is refused. */
async function openInside(root: string, path: string): Promise<FileHandle> {
	let real: string;
	try {
		real = await realpath(join(root, path));
	} catch (cause) {
		throw new CorruptError(`archive lacks ${path}`, {}, {cause});
	}
	if (!real.startsWith(`${root}/`)) throw new CorruptError(`archive's ${path} leads out of it`);
	const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
	if ((await file.stat()).isFile()) return file;
	await file.close();
	throw new CorruptError(`archive's ${path} is not a regular file`);
}

async function readInside(root: string, path: string): Promise<Uint8Array> {
	await using file = await openInside(root, path);
	if ((await file.stat()).size > MAX_MANIFEST_BYTES * 2) throw new CorruptError(`archive's ${path} is too long`);
	return await file.readFile();
}

async function sizeInside(root: string, path: string): Promise<number> {
	await using file = await openInside(root, path);
	return (await file.stat()).size;
}

async function* streamInside(root: string, path: string): AsyncIterable<Uint8Array> {
	const file = await openInside(root, path);
	yield* file.createReadStream({highWaterMark: 1 << 20}) as AsyncIterable<Buffer>;
}

async function isFile(path: string): Promise<boolean> {
	try {
		return (await stat(path)).isFile();
	} catch {
		return false;
	}
}

/** For `berth images load`: a directory is read where it is. */
export async function isDirectory(path: string): Promise<boolean> {
	return (await stat(path)).isDirectory();
}
