import {createHash, randomBytes} from 'node:crypto';
import {createReadStream, createWriteStream} from 'node:fs';
import {mkdir, open, readdir, rename, rm, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {Readable, type Transform} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGunzip, createZstdDecompress} from 'node:zlib';
import {pack, type Pack} from 'tar-stream';
import {syncDirectory} from '../base/atomic-file.js';
import {AlreadyExistsError, CorruptError} from '../base/errors.js';
import {type BlobParts, ImageBlobs} from './blobs.js';
import type {ArchiveFormat, ImageRecord} from './image.js';
import {type Descriptor, toCompression} from './manifest.js';
import {toParts} from './push.js';
import {type Reference, toText} from './reference.js';

export interface SaveRequest {
	/** `name` null: all tags of the image. */
	readonly images: readonly {readonly record: ImageRecord; readonly name: Reference | null}[];
	/** Absolute. */
	readonly path: string;
	readonly format: ArchiveFormat;
	/** Empty, on the store's filesystem; the caller's to remove. */
	readonly temporaryDir: string;
}

/** @throws {AlreadyExistsError} an `oci-dir` at a path that is there. {CorruptError} a layer with other bytes than its digest says. */
export async function saveImages(parts: BlobParts, request: SaveRequest, signal: AbortSignal): Promise<void> {
	if (request.format === 'oci-dir') return await saveDirectory(parts, request, signal);
	const dir = join(request.temporaryDir, 'image');
	await mkdir(dir);
	await (request.format === 'docker-archive' ? writeDockerArchive : writeLayout)(parts, request, dir, signal);
	await writeTar(dir, request.path, signal);
}

async function saveDirectory(parts: BlobParts, request: SaveRequest, signal: AbortSignal): Promise<void> {
	try {
		await mkdir(request.path, {mode: 0o755});
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw new AlreadyExistsError(`path ${request.path} exists already`, {field: 'path'});
		throw error;
	}
	try {
		await writeLayout(parts, request, request.path, signal);
	} catch (error) {
		await rm(request.path, {recursive: true, force: true});
		throw error;
	}
}

/** image-spec image-layout.md. */
async function writeLayout(parts: BlobParts, {images}: SaveRequest, dir: string, signal: AbortSignal): Promise<void> {
	const manifests: object[] = [];
	await mkdir(join(dir, 'blobs', 'sha256'), {recursive: true});
	for (const {record, name} of images) {
		const {manifest, blobs} = toParts(record);
		await using source = new ImageBlobs(parts, record);
		for (const {descriptor, bytes} of blobs) {
			const path = join(dir, 'blobs', 'sha256', descriptor.digest.slice('sha256:'.length));
			if (bytes !== null) await writeFile(path, bytes);
			else if (!(await exists(path))) await writeVerified(source.read(descriptor, signal), path, descriptor.digest);
		}
		await writeFile(join(dir, 'blobs', 'sha256', manifest.digest.slice('sha256:'.length)), manifest.json);
		const descriptor = {mediaType: manifest.mediaType, digest: manifest.digest, size: Buffer.byteLength(manifest.json)};
		for (const tag of tagsOf(record, name)) {
			// containerd reads the first, image-spec names the second.
			manifests.push({...descriptor, annotations: {'io.containerd.image.name': tag, 'org.opencontainers.image.ref.name': tag.slice(tag.lastIndexOf(':') + 1)}});
		}
		if (tagsOf(record, name).length === 0) manifests.push(descriptor);
	}
	await writeFile(join(dir, 'oci-layout'), JSON.stringify({imageLayoutVersion: '1.0.0'}));
	await writeFile(join(dir, 'index.json'), JSON.stringify({schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests}));
}

/** What `docker load` reads: plain tars by diffId. */
async function writeDockerArchive(parts: BlobParts, {images}: SaveRequest, dir: string, signal: AbortSignal): Promise<void> {
	const entries: object[] = [];
	for (const {record, name} of images) {
		await using source = new ImageBlobs(parts, record);
		const config = `${record.id.slice('sha256:'.length)}.json`;
		await writeFile(join(dir, config), record.configJson);
		for (const {digest, mediaType, sizeBytes, diffId} of record.layers) {
			const path = join(dir, layerFile(diffId));
			if (!(await exists(path)))
				await writeVerified(decompressed(source.read({digest, mediaType, size: sizeBytes}, signal), {digest, mediaType}), path, diffId);
		}
		entries.push({Config: config, RepoTags: tagsOf(record, name), Layers: record.layers.map(({diffId}) => layerFile(diffId))});
	}
	await writeFile(join(dir, 'manifest.json'), JSON.stringify(entries));
}

function layerFile(diffId: string): string {
	return `${diffId.slice('sha256:'.length)}.tar`;
}

function tagsOf(record: ImageRecord, name: Reference | null): readonly string[] {
	if (name === null || name.digest !== null) return record.repoTags;
	return [toText(name)];
}

function decompressed(stream: AsyncIterable<Uint8Array>, {mediaType}: Pick<Descriptor, 'digest' | 'mediaType'>): AsyncIterable<Uint8Array> {
	const compression = toCompression(mediaType);
	if (compression === 'none') return stream;
	const decompressor: Transform = compression === 'gzip' ? createGunzip() : createZstdDecompress();
	const source = Readable.from(stream).on('error', error => decompressor.destroy(error));
	// pipe() alone would leave a blob open of which no more is wanted.
	decompressor.once('close', () => source.destroy());
	return source.pipe(decompressor);
}

async function writeVerified(stream: AsyncIterable<Uint8Array>, path: string, digest: string): Promise<void> {
	const hash = createHash('sha256');
	const hashed = async function* (): AsyncIterable<Uint8Array> {
		for await (const chunk of stream) {
			hash.update(chunk);
			yield chunk;
		}
	};
	await pipeline(hashed, createWriteStream(path, {flags: 'wx'}));
	const found = `sha256:${hash.digest('hex')}`;
	if (found !== digest) throw new CorruptError(`layer has digest ${found}, must be ${digest}`);
}

/** Beside `path` first, then renamed: a reader sees a whole archive or none. */
async function writeTar(dir: string, path: string, signal: AbortSignal): Promise<void> {
	// A name that nobody can have prepared a link under, and no second save has.
	const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
	const archive = pack();
	try {
		await Promise.all([pipeline(archive, createWriteStream(temporary, {mode: 0o600, flags: 'wx'}), {signal}), addTree(archive, dir)]);
		await using file = await open(temporary, 'r');
		await file.datasync();
		await rename(temporary, path);
		await syncDirectory(dirname(path));
	} catch (error) {
		await rm(temporary, {force: true});
		throw error;
	}
}

/** Sorted and without times: the same image gives the same bytes. */
async function addTree(archive: Pack, dir: string): Promise<void> {
	const names = (await readdir(dir, {recursive: true, withFileTypes: true}))
		.filter(entry => entry.isFile())
		.map(({parentPath, name}) => join(parentPath, name).slice(dir.length + 1))
		.sort();
	for (const name of names) {
		const {size} = await stat(join(dir, name));
		await pipeline(createReadStream(join(dir, name)), archive.entry({name, size, mode: 0o644, mtime: new Date(0)}));
	}
	archive.finalize();
}

async function exists(path: string): Promise<boolean> {
	return await stat(path).then(
		() => true,
		() => false,
	);
}
