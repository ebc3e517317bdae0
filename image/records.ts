import {mkdir, readdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {syncDirectory, writeFileAtomic} from '../base/atomic-file.js';
import type {Logger} from '../base/log.js';
import type {ImageLayer, ImageRecord} from './image.js';
import {isImageId} from './reference.js';

const RECORD_VERSION = 2;

export interface RecordJudge {
	/** Every layer of the image is on disk. */
	readonly isWhole: (record: ImageRecord) => boolean;
	/** By today's config. */
	readonly isPinned: (repoTags: readonly string[]) => boolean;
}

/**
 * The records of images: one durable file each, all in memory, found by id or name at constant cost. An incomplete one (a layer of it is missing) is known but not
 * shown: it keeps the layers that are there, so that only the missing ones are fetched again.
 */
export class ImageRecords {
	readonly #dir: string;
	readonly #complete = new Map<string, ImageRecord>();
	readonly #incomplete = new Map<string, ImageRecord>();
	/** Tag or repo digest → id, of complete images. */
	readonly #names = new Map<string, string>();
	#list: readonly ImageRecord[] | null = null;

	private constructor(dir: string) {
		this.#dir = dir;
	}

	static async open(rootDir: string, judge: RecordJudge, log: Logger): Promise<ImageRecords> {
		const records = new ImageRecords(join(rootDir, 'images'));
		await mkdir(records.#dir, {recursive: true, mode: 0o700});
		for (const name of await readdir(records.#dir)) {
			const path = join(records.#dir, name);
			const read = name.endsWith('.json') ? await readRecord(path) : null;
			if (read === null) {
				log.warn({path}, 'image record not usable: the image is to be pulled again');
				await rm(path, {force: true});
				continue;
			}
			const record = {...read, pinned: judge.isPinned(read.repoTags)};
			if (judge.isWhole(record)) records.#add(record);
			else records.#incomplete.set(record.id, record);
		}
		return records;
	}

	get(id: string): ImageRecord | null {
		return this.#complete.get(id) ?? null;
	}

	getIncomplete(id: string): ImageRecord | null {
		return this.#incomplete.get(id) ?? null;
	}

	/** By "registry/repository:tag" or "registry/repository@digest". */
	findByName(name: string): ImageRecord | null {
		const id = this.#names.get(name);
		return id === undefined ? null : this.get(id);
	}

	/** The same array until something changes. */
	list(): readonly ImageRecord[] {
		this.#list ??= [...this.#complete.values()];
		return this.#list;
	}

	/** By id or name. */
	findIncomplete(name: string): ImageRecord | null {
		for (const record of this.#incomplete.values())
			if (record.id === name || record.repoTags.includes(name) || record.repoDigests.includes(name)) return record;
		return null;
	}

	listIncomplete(): readonly ImageRecord[] {
		return [...this.#incomplete.values()];
	}

	/** Durable before visible. The image is complete. */
	async put(record: ImageRecord): Promise<void> {
		await this.#write(record);
		this.#remove(record.id);
		this.#add(record);
	}

	/** As put(), for one that stays incomplete. */
	async putIncomplete(record: ImageRecord): Promise<void> {
		await this.#write(record);
		this.#incomplete.set(record.id, record);
	}

	/** Durable: a removed image must not come back after a power cut, when its layers are gone. Idempotent. */
	async remove(id: string): Promise<void> {
		await rm(this.#path(id), {force: true});
		await syncDirectory(this.#dir);
		this.#remove(id);
	}

	async #write(record: ImageRecord): Promise<void> {
		await writeFileAtomic(this.#path(record.id), JSON.stringify({version: RECORD_VERSION, record}), {durable: true});
	}

	#add(record: ImageRecord): void {
		this.#list = null;
		this.#complete.set(record.id, record);
		for (const name of [...record.repoTags, ...record.repoDigests]) this.#names.set(name, record.id);
	}

	#remove(id: string): void {
		this.#list = null;
		const record = this.#complete.get(id);
		this.#complete.delete(id);
		this.#incomplete.delete(id);
		for (const name of [...(record?.repoTags ?? []), ...(record?.repoDigests ?? [])]) if (this.#names.get(name) === id) this.#names.delete(name);
	}

	#path(id: string): string {
		return join(this.#dir, `${id.slice('sha256:'.length)}.json`);
	}
}

async function readRecord(path: string): Promise<ImageRecord | null> {
	try {
		const {version, record} = JSON.parse(await readFile(path, 'utf8')) as {readonly version: number; readonly record: ImageRecord};
		if (!Array.isArray(record.layers) || !isImageId(record.id)) return null;
		if (version === RECORD_VERSION) return record;
		return version === 1 ? {...record, manifest: null, layers: record.layers.map(fromVersion1)} : null;
	} catch {
		return null;
	}
}

/** Version 1 did not keep what repairing and pushing need. */
function fromVersion1(layer: Pick<ImageLayer, 'digest' | 'diffId' | 'chainId'>): ImageLayer {
	return {...layer, mediaType: '', sizeBytes: 0};
}
