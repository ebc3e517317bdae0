import {matchesGlob} from 'node:path';
import {InvalidArgumentError, NotFoundError} from '../base/errors.js';
import {KeyedLock} from '../base/keyed-lock.js';
import type {ContentStore} from './content/content-store.js';
import type {ImageLayer, ImageOptions, ImageRecord} from './image.js';
import type {LayerStore} from './layer/layer-store.js';
import type {FetchedImage, FetchedLayer} from './pull.js';
import type {ImageRecords} from './records.js';
import {parseReference, type Reference, toName} from './reference.js';

export interface RegistrationParts {
	readonly options: ImageOptions;
	readonly records: ImageRecords;
	readonly layers: LayerStore;
	readonly content: ContentStore;
}

/** The one door for changes of image records, one change at a time: tags move between images. A record retains its layers and kept blobs. */
export class Registration {
	readonly #parts: RegistrationParts;
	readonly #changes = new KeyedLock();

	/** Retains for the records that are there. */
	constructor(parts: RegistrationParts) {
		this.#parts = parts;
		for (const record of [...parts.records.list(), ...parts.records.listIncomplete()]) this.#retain(record);
	}

	/**
	 * Records an image whose layers are on disk and synced. Its names move to it.
	 *
	 * @param references null: it was repaired, and keeps the names it has.
	 * @throws {NotFoundError} a repaired one was removed meanwhile: nobody wants it back.
	 */
	async add(fetched: FetchedImage, references: readonly Reference[] | null): Promise<ImageRecord> {
		return await this.#alone(async () => {
			const before = this.#parts.records.get(fetched.id) ?? this.#parts.records.getIncomplete(fetched.id);
			if (before === null && references === null) throw new NotFoundError('image', fetched.id);
			return await this.#put(fetched, references ?? [], before);
		});
	}

	async #put(fetched: FetchedImage, references: readonly Reference[], before: ImageRecord | null): Promise<ImageRecord> {
		const {records} = this.#parts;
		const tags = references.flatMap(reference => (reference.tag === null ? [] : [`${toName(reference)}:${reference.tag}`]));
		const digests = references.map(reference => `${toName(reference)}@${fetched.digest}`);
		await this.#takeTags(tags, fetched.id);
		const repoTags = sorted([...(before?.repoTags ?? []), ...tags]);
		const record: ImageRecord = {
			id: fetched.id,
			repoTags,
			repoDigests: sorted([...(before?.repoDigests ?? []), ...digests]),
			sizeBytes: fetched.sizeBytes,
			config: fetched.config,
			layers: fetched.layers.map(toImageLayer),
			pinned: this.#isPinned(repoTags),
			configJson: fetched.configJson,
			manifest: fetched.manifest,
		};
		await records.put(record);
		// The same layers by the same config; the blobs may be others (compressed anew).
		this.#retain(record);
		if (before !== null) {
			this.#release(before);
			await this.#parts.content.collect(before.layers.map(({digest}) => digest));
		}
		return record;
	}

	/** @throws {InvalidArgumentError} `target` is not a name with a tag. What `find` throws. */
	async tag(find: () => ImageRecord, target: string): Promise<ImageRecord> {
		const reference = parseReference(target);
		if (reference.digest !== null || reference.tag === null)
			throw new InvalidArgumentError(`target must be a name with a tag, is ${JSON.stringify(target)}`, {field: 'target'});
		const tag = `${toName(reference)}:${reference.tag}`;
		return await this.#alone(async () => {
			const {id} = find();
			await this.#takeTags([tag], id);
			// Only now: the tag may have been the image's own already.
			const image = find();
			const repoTags = sorted([...image.repoTags, tag]);
			const record = {...image, repoTags, pinned: this.#isPinned(repoTags)};
			await this.#parts.records.put(record);
			return record;
		});
	}

	/** Idempotent: nothing is found, nothing is done. Layers go at once, unless others use them. */
	async remove(find: () => ImageRecord | null): Promise<void> {
		await this.#alone(async () => {
			const image = find();
			if (image === null) return;
			await this.#parts.records.remove(image.id);
			this.#release(image);
			await this.#parts.layers.collect(image.layers.map(({chainId}) => chainId));
			await this.#parts.content.collect(image.layers.map(({digest}) => digest));
		});
	}

	/** Waits for the change under way. */
	async close(): Promise<void> {
		await this.#alone(async () => {});
	}

	async #alone<T>(change: () => Promise<T>): Promise<T> {
		return await this.#changes.run('', change);
	}

	async #takeTags(tags: readonly string[], forId: string): Promise<void> {
		const {records} = this.#parts;
		const without = (image: ImageRecord): ImageRecord => {
			const repoTags = image.repoTags.filter(tag => !tags.includes(tag));
			return {...image, repoTags, pinned: this.#isPinned(repoTags)};
		};
		for (const tag of tags) {
			const other = records.findByName(tag);
			if (other !== null && other.id !== forId) await records.put(without(other));
		}
		for (const other of records.listIncomplete())
			if (other.id !== forId && other.repoTags.some(tag => tags.includes(tag))) await records.putIncomplete(without(other));
	}

	#retain({layers}: ImageRecord): void {
		this.#parts.layers.retain(layers.map(({chainId}) => chainId));
		this.#parts.content.retain(layers.map(({digest}) => digest));
	}

	#release({layers}: ImageRecord): void {
		this.#parts.layers.release(layers.map(({chainId}) => chainId));
		this.#parts.content.release(layers.map(({digest}) => digest));
	}

	#isPinned(repoTags: readonly string[]): boolean {
		return isPinned(this.#parts.options, repoTags);
	}
}

/** As the config says now. */
export function isPinned({pinnedImages}: Pick<ImageOptions, 'pinnedImages'>, repoTags: readonly string[]): boolean {
	return repoTags.some(tag => pinnedImages.some(glob => matchesGlob(tag, glob)));
}

function toImageLayer({descriptor: {digest, mediaType, size}, diffId, chainId}: FetchedLayer): ImageLayer {
	return {digest, mediaType, sizeBytes: size, diffId, chainId};
}

function sorted(names: readonly string[]): readonly string[] {
	return [...new Set(names)].sort();
}
