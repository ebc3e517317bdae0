import {createHash, randomBytes} from 'node:crypto';
import {mkdir, readdir, readFile, rm} from 'node:fs/promises';
import {join, matchesGlob} from 'node:path';
import {writeFileAtomic} from '../base/atomic-file.js';
import {NotFoundError} from '../base/errors.js';
import {JoinedCalls} from '../base/joined-calls.js';
import {KeyedLock} from '../base/keyed-lock.js';
import type {Logger} from '../base/log.js';
import type {Kernel} from '../native/native.js';
import type {ImageOptions, ImageRecord, ImageStore, OpenImageStore, RegistryAuth, Snapshot, Usage} from './image.js';
import {LayerStore} from './layer/layer-store.js';
import {findImages, isDirectory, type LoadableImage, unpackArchive} from './load.js';
import {type FetchedImage, fetchImage, toLimit} from './pull.js';
import {isImageId, parseReference, type Reference, toName, toText} from './reference.js';
import {RegistrySource} from './registry/client.js';
import {OverlaySnapshots} from './snapshot/overlay.js';
import type {ImageSource} from './source.js';

const RECORD_VERSION = 1;

/** Reads records, layers and snapshots; what is not whole goes. */
export const openImageStore: OpenImageStore = async (options, kernel, log) => {
	const imagesDir = join(options.rootDir, 'images');
	await mkdir(imagesDir, {recursive: true, mode: 0o700});
	// Layers are read by containers' users through their root: the way there must be open to them.
	await mkdir(options.rootDir, {recursive: true, mode: 0o711});
	const layers = await LayerStore.open(options, kernel, log);
	const snapshots = await OverlaySnapshots.open(options.rootDir, kernel, layers, log);
	const store = new Store({options, kernel, log, layers, snapshots, imagesDir});
	await store.readRecords();
	await layers.collect(layers.diffIds());
	return store;
};

interface StoreParts {
	readonly options: ImageOptions;
	readonly kernel: Kernel;
	readonly log: Logger;
	readonly layers: LayerStore;
	readonly snapshots: OverlaySnapshots;
	readonly imagesDir: string;
}

class Store implements ImageStore {
	readonly #parts: StoreParts;
	readonly #images = new Map<string, ImageRecord>();
	readonly #pulls = new JoinedCalls<ImageRecord>();
	/** Changes of records, one at a time: tags move between images. */
	readonly #changes = new KeyedLock();
	readonly #limit: <T>(work: () => Promise<T>) => Promise<T>;

	constructor(parts: StoreParts) {
		this.#parts = parts;
		this.#limit = toLimit(parts.options.maxConcurrentDownloads);
	}

	async readRecords(): Promise<void> {
		const {imagesDir, layers, log} = this.#parts;
		for (const name of await readdir(imagesDir)) {
			const path = join(imagesDir, name);
			const record = name.endsWith('.json') ? await readRecord(path) : null;
			const missing = record?.layers.find(({diffId}) => !layers.has(diffId));
			if (record === null || missing !== undefined) {
				log.warn({path, missing: missing?.diffId}, 'image record not usable: the image is to be pulled again');
				await rm(path, {force: true});
				continue;
			}
			layers.retain(record.layers.map(({diffId}) => diffId));
			this.#images.set(record.id, {...record, pinned: this.#isPinned(record.repoTags)});
		}
	}

	async pull(text: string, auth: RegistryAuth | null, signal: AbortSignal | null): Promise<ImageRecord> {
		const reference = parseReference(text);
		// Another's credentials must not give the image to who lacks them.
		const who = createHash('sha256').update(JSON.stringify(auth)).digest('hex');
		return await this.#pulls.run(`${toText(reference)} ${who}`, signal ?? undefined, async joined => {
			const source = await RegistrySource.open(reference, auth, this.#parts);
			try {
				return await this.#add(source, reference.digest ?? reference.tag ?? 'latest', [reference], joined);
			} finally {
				await source.close();
			}
		});
	}

	async load(path: string): Promise<readonly ImageRecord[]> {
		if (await isDirectory(path)) return await this.#loadAll(await findImages(path));
		const {options, kernel} = this.#parts;
		const dir = join(options.rootDir, `load-${randomBytes(6).toString('hex')}`);
		await mkdir(dir, {mode: 0o700});
		try {
			await unpackArchive(kernel, path, dir, {maxBytes: options.maxLayerBytes * 4, maxInodes: options.maxLayerInodes});
			return await this.#loadAll(await findImages(dir));
		} finally {
			await kernel.removeTree(dir);
		}
	}

	async #loadAll(images: readonly LoadableImage[]): Promise<readonly ImageRecord[]> {
		const records: ImageRecord[] = [];
		for (const {names, digest, source} of images) records.push(await this.#add(source, digest, names.map(parseReference), new AbortController().signal));
		return records;
	}

	/** Fetches and records. The layers are retained from before the first fetch until the record has them, or for good. */
	async #add(source: ImageSource, tagOrDigest: string, references: readonly Reference[], signal: AbortSignal): Promise<ImageRecord> {
		const {options, layers, kernel} = this.#parts;
		let held: readonly string[] = [];
		const retained = (diffIds: readonly string[]): void => {
			held = diffIds;
			layers.retain(diffIds);
		};
		try {
			const fetched = await fetchImage({options, layers, limit: this.#limit}, source, tagOrDigest, retained, signal);
			// Before the record: an image that is said to exist is on disk.
			await kernel.syncFilesystem(options.rootDir);
			return await this.#changes.run('', async () => await this.#record(fetched, references));
		} finally {
			layers.release(held);
			await layers.collect(held);
		}
	}

	async #record(fetched: FetchedImage, references: readonly Reference[]): Promise<ImageRecord> {
		const before = this.#images.get(fetched.id);
		const tags = references.flatMap(reference => (reference.tag === null ? [] : [`${toName(reference)}:${reference.tag}`]));
		const digests = references.map(reference => `${toName(reference)}@${fetched.digest}`);
		for (const other of [...this.#images.values()]) {
			if (other.id !== fetched.id && other.repoTags.some(tag => tags.includes(tag)))
				await this.#put({...other, repoTags: other.repoTags.filter(tag => !tags.includes(tag))});
		}
		const repoTags = sorted([...(before?.repoTags ?? []), ...tags]);
		const record: ImageRecord = {
			id: fetched.id,
			repoTags,
			repoDigests: sorted([...(before?.repoDigests ?? []), ...digests]),
			sizeBytes: fetched.sizeBytes,
			config: fetched.config,
			layers: toChain(fetched.layers),
			pinned: this.#isPinned(repoTags),
			configJson: fetched.configJson,
		};
		await this.#put(record);
		if (before === undefined) this.#parts.layers.retain(record.layers.map(({diffId}) => diffId));
		return record;
	}

	find(text: string): ImageRecord | null {
		if (isImageId(text)) return this.#images.get(text.startsWith('sha256:') ? text : `sha256:${text}`) ?? null;
		return this.#findByName(text) ?? this.#findByPrefix(text);
	}

	#findByName(text: string): ImageRecord | null {
		let reference: Reference;
		try {
			reference = parseReference(text);
		} catch {
			// No reference names no image: ImageStatus of it is an empty answer.
			return null;
		}
		const name = reference.digest === null ? toText(reference) : `${toName(reference)}@${reference.digest}`;
		for (const image of this.#images.values()) if ((reference.digest === null ? image.repoTags : image.repoDigests).includes(name)) return image;
		return null;
	}

	#findByPrefix(text: string): ImageRecord | null {
		const prefix = text.startsWith('sha256:') ? text : `sha256:${text}`;
		if (!/^sha256:[0-9a-f]{4,63}$/.test(prefix)) return null;
		const fits = [...this.#images.values()].filter(({id}) => id.startsWith(prefix));
		return fits.length === 1 ? (fits[0] ?? null) : null;
	}

	list(): readonly ImageRecord[] {
		return [...this.#images.values()];
	}

	async remove(text: string): Promise<void> {
		await this.#changes.run('', async () => {
			const image = this.find(text);
			if (image === null) return;
			await rm(this.#recordPath(image.id), {force: true});
			this.#images.delete(image.id);
			const diffIds = image.layers.map(({diffId}) => diffId);
			this.#parts.layers.release(diffIds);
			await this.#parts.layers.collect(diffIds);
		});
	}

	fsInfo() {
		const {options, layers, snapshots} = this.#parts;
		return {imageFs: {mountpoint: options.rootDir, ...layers.usage}, containerFs: {mountpoint: options.rootDir, ...snapshots.knownUsage()}};
	}

	async prepareSnapshot(key: string, imageId: string): Promise<Snapshot> {
		const image = this.#images.get(imageId);
		if (image === undefined) throw new NotFoundError('image', imageId);
		return await this.#parts.snapshots.prepare(
			key,
			image.layers.map(({diffId}) => diffId),
		);
	}

	async removeSnapshot(key: string): Promise<void> {
		await this.#parts.layers.collect(await this.#parts.snapshots.remove(key));
	}

	async snapshotUsage(key: string): Promise<Usage | null> {
		return await this.#parts.snapshots.usage(key);
	}

	snapshotKeys(): readonly string[] {
		return this.#parts.snapshots.keys();
	}

	async close(): Promise<void> {
		await this.#changes.run('', async () => {});
	}

	async #put(record: ImageRecord): Promise<void> {
		await writeFileAtomic(this.#recordPath(record.id), JSON.stringify({version: RECORD_VERSION, record}), {durable: true});
		this.#images.set(record.id, record);
	}

	#recordPath(id: string): string {
		return join(this.#parts.imagesDir, `${id.slice('sha256:'.length)}.json`);
	}

	#isPinned(repoTags: readonly string[]): boolean {
		return repoTags.some(tag => this.#parts.options.pinnedImages.some(glob => matchesGlob(tag, glob)));
	}
}

async function readRecord(path: string): Promise<ImageRecord | null> {
	try {
		const {version, record} = JSON.parse(await readFile(path, 'utf8')) as {readonly version: number; readonly record: ImageRecord};
		return version === RECORD_VERSION && Array.isArray(record.layers) && isImageId(record.id) ? record : null;
	} catch {
		return null;
	}
}

/** Chain ids as image-spec config.md defines them ("Layer ChainID"). */
function toChain(layers: FetchedImage['layers']): ImageRecord['layers'] {
	let chainId = '';
	return layers.map(({digest, diffId}) => {
		chainId = chainId === '' ? diffId : `sha256:${createHash('sha256').update(`${chainId} ${diffId}`).digest('hex')}`;
		return {digest, diffId, chainId};
	});
}

function sorted(names: readonly string[]): readonly string[] {
	return [...new Set(names)].sort();
}
