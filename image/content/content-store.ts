import {createHash, randomBytes} from 'node:crypto';
import {type FileHandle, mkdir, open, readdir, rename, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {CorruptError} from '../../base/errors.js';
import type {Usage} from '../image.js';
import type {Descriptor} from '../manifest.js';
import type {ImageSource} from '../source.js';

const CHUNK_BYTES = 1 << 20;

/**
 * Compressed layers as registries have them, by digest: content/sha256/<hex>. Only of images that were loaded, and of all when keepBlobs is set: an image's files are
 * on disk once, in its unpacked layers.
 */
export class ContentStore {
	readonly #dir: string;
	readonly #sizes = new Map<string, number>();
	readonly #references = new Map<string, number>();
	#bytes = 0;

	private constructor(dir: string) {
		this.#dir = dir;
	}

	/** Half-written blobs go. */
	static async open(rootDir: string): Promise<ContentStore> {
		const store = new ContentStore(join(rootDir, 'content', 'sha256'));
		await mkdir(store.#dir, {recursive: true, mode: 0o700});
		for (const name of await readdir(store.#dir)) {
			const path = join(store.#dir, name);
			if (/^[0-9a-f]{64}$/.test(name)) store.#add(`sha256:${name}`, (await stat(path)).size);
			else await rm(path, {force: true});
		}
		return store;
	}

	get usage(): Usage {
		return {bytes: this.#bytes, inodes: this.#sizes.size};
	}

	/** A blob of another size was cut by a power failure: it is as good as none. */
	has({digest, size}: Pick<Descriptor, 'digest' | 'size'>): boolean {
		return this.#sizes.get(digest) === size;
	}

	/** The blob's bytes, verified at the end. @throws {CorruptError} they are not what the digest says; the blob is forgotten then. */
	async *read(descriptor: Descriptor): AsyncIterable<Uint8Array> {
		const hash = createHash('sha256');
		const file = await open(this.#path(descriptor.digest), 'r');
		for await (const chunk of file.createReadStream({highWaterMark: CHUNK_BYTES}) as AsyncIterable<Buffer>) {
			hash.update(chunk);
			yield chunk;
		}
		if (`sha256:${hash.digest('hex')}` === descriptor.digest) return;
		await this.#forget(descriptor.digest);
		throw new CorruptError(`kept blob ${descriptor.digest} is damaged`, {digest: descriptor.digest});
	}

	/** A source whose blobs are kept as they pass, and read from here when they are here already. */
	keeping(source: ImageSource): ImageSource {
		return {
			manifest: async (tagOrDigest, signal) => await source.manifest(tagOrDigest, signal),
			blob: (descriptor, signal) => (this.has(descriptor) ? this.read(descriptor) : this.#tee(source, descriptor, signal)),
		};
	}

	/** Blobs whose layers were unpacked already did not pass. */
	async keep(source: ImageSource, descriptors: readonly Descriptor[], signal: AbortSignal): Promise<void> {
		for (const descriptor of descriptors) {
			if (this.has(descriptor)) continue;
			for await (const _ of this.#tee(source, descriptor, signal));
			if (!this.has(descriptor)) throw new CorruptError(`blob ${descriptor.digest} has other bytes than its digest says`, {digest: descriptor.digest});
		}
	}

	async *#tee(source: ImageSource, descriptor: Descriptor, signal: AbortSignal): AsyncIterable<Uint8Array> {
		const temporary = join(this.#dir, `new-${randomBytes(6).toString('hex')}`);
		const file = await open(temporary, 'wx', 0o600);
		try {
			const hash = createHash('sha256');
			let length = 0;
			for await (const chunk of source.blob(descriptor, signal)) {
				hash.update(chunk);
				length += chunk.length;
				await writeAll(file, chunk);
				yield chunk;
			}
			// Whoever gave up has collected before this blob was there.
			if (signal.aborted) return;
			if (length !== descriptor.size || `sha256:${hash.digest('hex')}` !== descriptor.digest) return;
			await rename(temporary, this.#path(descriptor.digest));
			this.#add(descriptor.digest, length);
		} finally {
			await file.close();
			await rm(temporary, {force: true});
		}
	}

	/** The blobs stay until release() was called as often. */
	retain(digests: readonly string[]): void {
		for (const digest of digests) this.#references.set(digest, (this.#references.get(digest) ?? 0) + 1);
	}

	release(digests: readonly string[]): void {
		for (const digest of digests) {
			const left = (this.#references.get(digest) ?? 0) - 1;
			if (left > 0) this.#references.set(digest, left);
			else this.#references.delete(digest);
		}
	}

	/** Removes those that nobody retains; all of them when none are named. */
	async collect(digests: Iterable<string> = [...this.#sizes.keys()]): Promise<void> {
		for (const digest of new Set(digests)) if (!this.#references.has(digest)) await this.#forget(digest);
	}

	async #forget(digest: string): Promise<void> {
		const size = this.#sizes.get(digest);
		if (size === undefined) return;
		this.#sizes.delete(digest);
		this.#bytes -= size;
		await rm(this.#path(digest), {force: true});
	}

	#add(digest: string, size: number): void {
		this.#bytes += size - (this.#sizes.get(digest) ?? 0);
		this.#sizes.set(digest, size);
	}

	#path(digest: string): string {
		return join(this.#dir, digest.slice('sha256:'.length));
	}
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
	for (let offset = 0; offset < chunk.length; ) offset += (await file.write(chunk, offset)).bytesWritten;
}
