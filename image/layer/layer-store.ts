import {createHash, randomBytes} from 'node:crypto';
import {mkdir, readdir, readFile, rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {CorruptError} from '../../base/errors.js';
import {JoinedCalls} from '../../base/joined-calls.js';
import type {Logger} from '../../base/log.js';
import type {Kernel} from '../../native/native.js';
import type {ImageOptions} from '../image.js';
import {type Descriptor, toCompression} from '../manifest.js';
import type {ImageSource} from '../source.js';

/** One unpacked layer. Its directory is read-only to all who use it. */
export interface LayerRecord {
	readonly diffId: string;
	/** Name of its directory below layers/: short, as mount options are. */
	readonly name: string;
	readonly diskBytes: number;
	readonly inodes: number;
}

/** Unpacked layers by diffId: each is on disk once, however many images have it. */
export class LayerStore {
	readonly #dir: string;
	readonly #options: ImageOptions;
	readonly #kernel: Kernel;
	readonly #layers = new Map<string, LayerRecord>();
	readonly #references = new Map<string, number>();
	readonly #fetches = new JoinedCalls<LayerRecord>();
	readonly #claimed = new Set<string>();
	/** Compressed bytes so far of layers being fetched, by diffId. */
	readonly #received = new Map<string, number>();
	#nextName = 1;
	#pulledBytes = 0;
	#usage = {bytes: 0, inodes: 0};

	private constructor(options: ImageOptions, kernel: Kernel) {
		this.#dir = join(options.rootDir, 'layers');
		this.#options = options;
		this.#kernel = kernel;
	}

	/** Reads what is there; half-made layers go. */
	static async open(options: ImageOptions, kernel: Kernel, log: Logger): Promise<LayerStore> {
		const store = new LayerStore(options, kernel);
		await mkdir(join(store.#dir, 'empty', 'fs'), {recursive: true, mode: 0o755});
		for (const name of await readdir(store.#dir)) {
			if (name === 'empty') continue;
			const record = await readRecord(join(store.#dir, name), name);
			if (record !== null && !store.#layers.has(record.diffId)) store.#add(record);
			else {
				log.warn({layer: name}, 'half-made layer removed');
				await kernel.removeTree(join(store.#dir, name));
			}
		}
		return store;
	}

	get usage(): {readonly bytes: number; readonly inodes: number} {
		return this.#usage;
	}

	/** Compressed bytes fetched since the start. */
	get pulledBytes(): number {
		return this.#pulledBytes;
	}

	/** Of a layer being fetched; 0 for others. */
	receivedBytes(diffId: string): number {
		return this.#received.get(diffId) ?? 0;
	}

	has(diffId: string): boolean {
		return this.#layers.has(diffId);
	}

	/** Lower directories for overlay, topmost first. */
	lowerDirs(diffIds: readonly string[]): readonly string[] {
		if (diffIds.length === 0) return [join(this.#dir, 'empty', 'fs')];
		return diffIds.map(diffId => join(this.#dir, this.#get(diffId).name, 'fs')).reverse();
	}

	/** The layer stays until release() was called as often. */
	retain(diffIds: readonly string[]): void {
		for (const diffId of diffIds) this.#references.set(diffId, (this.#references.get(diffId) ?? 0) + 1);
	}

	release(diffIds: readonly string[]): void {
		for (const diffId of diffIds) {
			const left = (this.#references.get(diffId) ?? 0) - 1;
			if (left > 0) this.#references.set(diffId, left);
			else this.#references.delete(diffId);
		}
	}

	/**
	 * These are named by a record on disk, which makes them count from the moment they are seen, also after a power cut: each is synced before it is put in its place.
	 * Others count only once a record names them, which is after a sync.
	 */
	claim(diffIds: Iterable<string>): void {
		for (const diffId of diffIds) this.#claimed.add(diffId);
	}

	/** Removes those of `diffIds` that nobody retains. */
	async collect(diffIds: Iterable<string>): Promise<void> {
		for (const diffId of new Set(diffIds)) {
			const record = this.#layers.get(diffId);
			if (record === undefined || this.#references.has(diffId)) continue;
			this.#layers.delete(diffId);
			this.#usage = {bytes: this.#usage.bytes - record.diskBytes, inodes: this.#usage.inodes - record.inodes};
			// Out of sight first: a removal that is cut short must not look like a layer.
			const gone = join(this.#dir, `gone-${randomBytes(6).toString('hex')}`);
			await rename(join(this.#dir, record.name), gone);
			await this.#kernel.removeTree(gone);
		}
	}

	diffIds(): readonly string[] {
		return [...this.#layers.keys()];
	}

	/** Fetches and unpacks the layer unless it is there; joins a fetch of the same one in flight. */
	async ensure(source: ImageSource, descriptor: Descriptor, diffId: string, signal: AbortSignal): Promise<LayerRecord> {
		return (
			this.#layers.get(diffId) ??
			(await this.#fetches.run(diffId, signal, async joined => this.#layers.get(diffId) ?? (await this.#fetch(source, descriptor, diffId, joined))))
		);
	}

	async #fetch(source: ImageSource, descriptor: Descriptor, diffId: string, signal: AbortSignal): Promise<LayerRecord> {
		const compression = toCompression(descriptor.mediaType);
		const temporary = join(this.#dir, `new-${randomBytes(6).toString('hex')}`);
		await mkdir(join(temporary, 'fs'), {recursive: true, mode: 0o755});
		try {
			const {maxLayerBytes, maxLayerInodes} = this.#options;
			const unpacker = await this.#kernel.openUnpacker({targetDir: join(temporary, 'fs'), compression, maxBytes: maxLayerBytes, maxInodes: maxLayerInodes});
			try {
				const hash = createHash('sha256');
				let received = 0;
				for await (const chunk of source.blob(descriptor, signal)) {
					hash.update(chunk);
					received += chunk.length;
					this.#pulledBytes += chunk.length;
					this.#received.set(diffId, received);
					await unpacker.write(chunk);
				}
				const digest = `sha256:${hash.digest('hex')}`;
				if (received !== descriptor.size) throw new CorruptError(`layer ${descriptor.digest} has ${received} bytes, must have ${descriptor.size}`);
				if (digest !== descriptor.digest) throw new CorruptError(`layer has digest ${digest}, must be ${descriptor.digest}`);
				const sums = await unpacker.finish();
				if (sums.diffId !== diffId) throw new CorruptError(`layer ${descriptor.digest} unpacks to diffID ${sums.diffId}, the image config says ${diffId}`);
				return await this.#keep(temporary, {diffId, diskBytes: sums.diskBytes, inodes: sums.inodes});
			} catch (error) {
				await unpacker.abort();
				// What the unpacker finds wrong does not say of which layer.
				if (error instanceof CorruptError && !error.message.includes(descriptor.digest))
					throw new CorruptError(`layer ${descriptor.digest}: ${error.message}`, {}, {cause: error});
				throw error;
			}
		} catch (error) {
			await this.#kernel.removeTree(temporary);
			throw error;
		} finally {
			this.#received.delete(diffId);
		}
	}

	async #keep(temporary: string, sums: Omit<LayerRecord, 'name'>): Promise<LayerRecord> {
		const record = {...sums, name: String(this.#nextName++)};
		await writeFile(join(temporary, 'layer.json'), JSON.stringify({version: 1, ...sums}), {mode: 0o600});
		if (this.#claimed.has(sums.diffId)) await this.#kernel.syncFilesystem(temporary);
		await rename(temporary, join(this.#dir, record.name));
		this.#add(record);
		return record;
	}

	#add(record: LayerRecord): void {
		this.#layers.set(record.diffId, record);
		this.#nextName = Math.max(this.#nextName, Number(record.name) + 1);
		this.#usage = {bytes: this.#usage.bytes + record.diskBytes, inodes: this.#usage.inodes + record.inodes};
	}

	#get(diffId: string): LayerRecord {
		const record = this.#layers.get(diffId);
		if (record === undefined) throw new CorruptError(`layer ${diffId} is missing: pull the image again`, {diffId});
		return record;
	}
}

async function readRecord(dir: string, name: string): Promise<LayerRecord | null> {
	if (!/^[1-9]\d*$/.test(name)) return null;
	try {
		const {diffId, diskBytes, inodes} = JSON.parse(await readFile(join(dir, 'layer.json'), 'utf8')) as LayerRecord;
		return typeof diffId === 'string' && typeof diskBytes === 'number' && typeof inodes === 'number' ? {diffId, name, diskBytes, inodes} : null;
	} catch {
		// Torn or absent: the layer is not whole.
		return null;
	}
}
