import {createHash, randomBytes} from 'node:crypto';
import {mkdir, readdir} from 'node:fs/promises';
import {release} from 'node:os';
import {join} from 'node:path';
import {systemClock} from '../base/clock.js';
import {CancelledError, InvalidArgumentError, NotFoundError} from '../base/errors.js';
import {JoinedCalls} from '../base/joined-calls.js';
import type {Logger} from '../base/log.js';
import type {Kernel} from '../native/native.js';
import {ContentStore} from './content/content-store.js';
import type {
	ArchiveFormat,
	CountedUsage,
	ImageMetrics,
	ImageOptions,
	ImageRecord,
	ImageStore,
	OpenImageStore,
	PullProgress,
	PushedImage,
	RegistryAuth,
	Snapshot,
	SnapshotUse,
} from './image.js';
import {LayerStore} from './layer/layer-store.js';
import {findImages, isDirectory, type LoadableImage, unpackArchive} from './load.js';
import {PolicyFile} from './policy/policy-file.js';
import type {ImageOrigin} from './policy/scope.js';
import {PullsInFlight} from './progress.js';
import {fetchImage, toLimit} from './pull.js';
import {pushImage} from './push.js';
import {isPinned, Registration} from './registration.js';
import {ImageRecords} from './records.js';
import {isImageId, parseReference, type Reference, toName, toText} from './reference.js';
import {RegistrySource} from './registry/client.js';
import {Repairs} from './repair.js';
import {saveImages} from './save.js';
import {SharedSync} from './shared-sync.js';
import {OverlaySnapshots} from './snapshot/overlay.js';
import {machineProbe, probeOverlay} from './snapshot/overlay-features.js';
import type {Snapshotter} from './snapshot/snapshotter.js';
import type {ImageSource} from './source.js';

/** Reads records, layers and snapshots. What no record names goes; an image that lacks a layer is repaired in the background. */
export const openImageStore: OpenImageStore = async (options, kernel, log) => {
	await mkdir(options.rootDir, {recursive: true, mode: 0o711});
	for (const name of await readdir(options.rootDir)) if (name.startsWith('tmp-')) await kernel.removeTree(join(options.rootDir, name));
	const layers = await LayerStore.open(options, kernel, log);
	const content = await ContentStore.open(options.rootDir);
	const isWhole = ({layers: wanted}: ImageRecord): boolean => wanted.every(({chainId}) => layers.has(chainId));
	const records = await ImageRecords.open(options.rootDir, {isWhole, isPinned: repoTags => isPinned(options, repoTags)}, log);
	layers.claim(records.listIncomplete().flatMap(record => record.layers.map(({chainId}) => chainId)));
	const features = await probeOverlay(machineProbe(release()));
	const snapshots = await OverlaySnapshots.open({rootDir: options.rootDir, kernel, layers, features, clock: systemClock, log});
	const registration = new Registration({options, records, layers, content});
	const policy = await PolicyFile.open(options.policyFile, log);
	const store = new Store({options, kernel, log, layers, content, records, registration, snapshots, policy});
	await layers.collect(layers.chainIds());
	await content.collect();
	store.repair();
	return store;
};

interface StoreParts {
	readonly options: ImageOptions;
	readonly kernel: Kernel;
	readonly log: Logger;
	readonly layers: LayerStore;
	readonly content: ContentStore;
	readonly records: ImageRecords;
	readonly registration: Registration;
	readonly snapshots: Snapshotter;
	readonly policy: PolicyFile;
}

/** What is to be added: from where, what to ask for there, and under which names. */
interface Addition {
	readonly source: ImageSource;
	/** What the signature policy goes by. */
	readonly origin: ImageOrigin;
	readonly tagOrDigest: string;
	/** null: of an image that is repaired. */
	readonly references: readonly Reference[] | null;
	readonly keepBlobs: boolean;
}

class Store implements ImageStore {
	readonly #parts: StoreParts;
	readonly #pulls = new JoinedCalls<ImageRecord>();
	readonly #inFlight: PullsInFlight;
	readonly #limit: <T>(work: () => Promise<T>) => Promise<T>;
	readonly #sync: SharedSync;
	readonly #repairs: Repairs;
	readonly #ended = {succeeded: 0, failed: 0, cancelled: 0};
	#repaired = 0;

	constructor(parts: StoreParts) {
		this.#parts = parts;
		const {options, kernel, layers, records, log} = parts;
		this.#inFlight = new PullsInFlight(layers, systemClock);
		this.#limit = toLimit(options.maxConcurrentDownloads);
		this.#sync = new SharedSync(async () => await kernel.syncFilesystem(options.rootDir));
		this.#repairs = new Repairs({
			repair: async (record, signal) => await this.#repair(record, signal),
			isNeeded: ({id}) => records.getIncomplete(id) !== null,
			clock: systemClock,
			log,
		});
	}

	repair(): void {
		this.#repairs.start(this.#parts.records.listIncomplete());
	}

	async pull(text: string, auth: RegistryAuth | null, signal: AbortSignal | null): Promise<ImageRecord> {
		const reference = parseReference(text);
		// Another's credentials must not give the image to who lacks them.
		const who = createHash('sha256').update(JSON.stringify(auth)).digest('hex');
		return await this.#pulls.run(`${toText(reference)} ${who}`, signal ?? undefined, async joined => await this.#pull(reference, auth, joined));
	}

	async #pull(reference: Reference, auth: RegistryAuth | null, signal: AbortSignal): Promise<ImageRecord> {
		const {options} = this.#parts;
		try {
			const source = await RegistrySource.open(reference, auth, this.#parts);
			try {
				// With a digest the tag says nothing: what the registry has under it may be another image.
				const names = [reference.digest === null ? reference : {...reference, tag: null}];
				const tagOrDigest = reference.digest ?? reference.tag ?? 'latest';
				const origin = {transport: 'docker', reference} as const;
				const record = await this.#add({source, origin, tagOrDigest, references: names, keepBlobs: options.keepBlobs}, toText(reference), signal);
				this.#ended.succeeded++;
				return record;
			} finally {
				await source.close();
			}
		} catch (error) {
			this.#ended[error instanceof CancelledError ? 'cancelled' : 'failed']++;
			throw error;
		}
	}

	/** Fetches only the layers that are missing. From any of the repositories that it was pulled from, with credentials from files at most. */
	async #repair(record: ImageRecord, signal: AbortSignal): Promise<void> {
		let failure: unknown = new NotFoundError('image', record.id);
		for (const name of record.repoDigests) {
			try {
				const reference = parseReference(name);
				const source = await RegistrySource.open(reference, null, this.#parts);
				try {
					const origin = {transport: 'docker', reference} as const;
					await this.#add({source, origin, tagOrDigest: reference.digest ?? '', references: null, keepBlobs: this.#parts.options.keepBlobs}, name, signal);
				} finally {
					await source.close();
				}
				this.#repaired++;
				return;
			} catch (error) {
				// Closing, or removed meanwhile: another repository would be asked for nothing.
				if (signal.aborted || this.#parts.records.getIncomplete(record.id) === null) throw error;
				failure = error;
			}
		}
		throw failure;
	}

	async load(path: string): Promise<readonly ImageRecord[]> {
		if (await isDirectory(path)) return await this.#loadAll(await findImages(path, null));
		const {options, kernel} = this.#parts;
		return await this.#withTemporaryDir(async dir => {
			await unpackArchive(kernel, path, dir, {maxBytes: options.maxLayerBytes * 4, maxInodes: options.maxLayerInodes});
			return await this.#loadAll(await findImages(dir, path));
		});
	}

	async #loadAll(images: readonly LoadableImage[]): Promise<readonly ImageRecord[]> {
		const records: ImageRecord[] = [];
		for (const {names, origin, digest, source} of images) {
			const addition = {source, origin, tagOrDigest: digest, references: names.map(parseReference), keepBlobs: true};
			records.push(await this.#add(addition, names[0] ?? digest, new AbortController().signal));
		}
		return records;
	}

	/** Fetches and records. The layers are retained from before the first fetch until the record has them, or for good. */
	async #add({source, origin, tagOrDigest, references, keepBlobs}: Addition, name: string, signal: AbortSignal): Promise<ImageRecord> {
		const {options, layers, content, registration, policy} = this.#parts;
		const inFlight = this.#inFlight.begin(name);
		let chainIds: readonly string[] = [];
		let digests: readonly string[] = [];
		const kept = keepBlobs ? content.keeping(source) : source;
		try {
			const fetched = await fetchImage(
				{options, layers, limit: this.#limit, assertAllowed: async found => await policy.assertAllowed({origin, digests: found, source, signal})},
				kept,
				tagOrDigest,
				known => {
					chainIds = known.map(({chainId}) => chainId);
					digests = known.map(({descriptor}) => descriptor.digest);
					layers.retain(chainIds);
					content.retain(digests);
					inFlight.know(known);
				},
				signal,
			);
			if (keepBlobs)
				await content.keep(
					source,
					fetched.layers.map(({descriptor}) => descriptor),
					signal,
				);
			inFlight.sync();
			// Before the record: an image that is said to exist is on disk.
			await this.#sync.run();
			return await registration.add(fetched, references);
		} finally {
			this.#inFlight.end(inFlight);
			layers.release(chainIds);
			content.release(digests);
			await layers.collect(chainIds);
			await content.collect(digests);
		}
	}

	pullProgress(text: string): PullProgress | null {
		try {
			return this.#inFlight.size === 0 ? null : this.#inFlight.progress(toText(parseReference(text)));
		} catch {
			return null;
		}
	}

	find(text: string): ImageRecord | null {
		const {records} = this.#parts;
		const key = toKey(text);
		return (key === null ? null : isImageId(key) ? records.get(key) : records.findByName(key)) ?? this.#findByPrefix(text);
	}

	#findByPrefix(text: string): ImageRecord | null {
		const prefix = text.startsWith('sha256:') ? text : `sha256:${text}`;
		if (!/^sha256:[0-9a-f]{4,63}$/.test(prefix)) return null;
		const fits = this.list().filter(({id}) => id.startsWith(prefix));
		return fits.length === 1 ? (fits[0] ?? null) : null;
	}

	/** @throws {NotFoundError} */
	#get(text: string): ImageRecord {
		const record = this.find(text);
		if (record === null) throw new NotFoundError('image', text);
		return record;
	}

	/** null: the image was named by its id, whole or in short. */
	#nameOf(text: string): Reference | null {
		const key = toKey(text);
		return key === null || this.#parts.records.findByName(key) === null ? null : parseReference(text);
	}

	list(): readonly ImageRecord[] {
		return this.#parts.records.list();
	}

	async tag(text: string, target: string): Promise<ImageRecord> {
		return await this.#parts.registration.tag(() => this.#get(text), target);
	}

	async push(text: string, target: string, auth: RegistryAuth | null, signal: AbortSignal | null): Promise<PushedImage> {
		const record = this.#get(text);
		const to = target === '' ? this.#nameOf(text) : parseReference(target);
		if (to === null) throw new InvalidArgumentError('target is empty, and the image is named by its id', {field: 'target'});
		return await pushImage(this.#parts, {record, target: to, auth}, signal ?? new AbortController().signal);
	}

	async save(references: readonly string[], path: string, format: ArchiveFormat, signal: AbortSignal | null): Promise<readonly ImageRecord[]> {
		const images = references.map(reference => ({record: this.#get(reference), name: this.#nameOf(reference)}));
		return await this.#withTemporaryDir(async dir => {
			await saveImages(this.#parts, {images, path, format, temporaryDir: dir}, signal ?? new AbortController().signal);
			return images.map(({record}) => record);
		});
	}

	async remove(text: string): Promise<void> {
		const key = toKey(text) ?? '';
		await this.#parts.registration.remove(() => this.find(text) ?? this.#parts.records.findIncomplete(key));
	}

	fsInfo() {
		const {options, layers, content, snapshots} = this.#parts;
		const bytes = layers.usage.bytes + content.usage.bytes;
		const inodes = layers.usage.inodes + content.usage.inodes;
		return {imageFs: {mountpoint: options.rootDir, bytes, inodes}, containerFs: {mountpoint: options.rootDir, ...snapshots.totalUsage()}};
	}

	async prepareSnapshot(key: string, imageId: string, use: SnapshotUse): Promise<Snapshot> {
		const image = this.#parts.records.get(imageId);
		if (image === null) throw new NotFoundError('image', imageId);
		return await this.#parts.snapshots.prepare(
			key,
			image.layers.map(({chainId}) => chainId),
			use,
		);
	}

	async removeSnapshot(key: string): Promise<void> {
		await this.#parts.layers.collect(await this.#parts.snapshots.remove(key));
	}

	snapshotDir(key: string): string {
		return this.#parts.snapshots.dirOf(key);
	}

	async snapshotUsages(keys: readonly string[]): Promise<ReadonlyMap<string, CountedUsage>> {
		return await this.#parts.snapshots.usages(keys);
	}

	snapshotKeys(): readonly string[] {
		return this.#parts.snapshots.keys();
	}

	snapshotFeatures() {
		return this.#parts.snapshots.features();
	}

	metrics(): ImageMetrics {
		return {
			pulls: {...this.#ended},
			pulledBytes: this.#parts.layers.pulledBytes,
			pullsInFlight: this.#inFlight.size,
			repairs: this.#repaired,
			incompleteImages: this.#parts.records.listIncomplete().length,
		};
	}

	async close(): Promise<void> {
		await this.#repairs.close();
		await this.#parts.snapshots.close();
		await this.#parts.registration.close();
	}

	async #withTemporaryDir<T>(work: (dir: string) => Promise<T>): Promise<T> {
		const dir = join(this.#parts.options.rootDir, `tmp-${randomBytes(6).toString('hex')}`);
		await mkdir(dir, {mode: 0o700});
		try {
			return await work(dir);
		} finally {
			await this.#parts.kernel.removeTree(dir);
		}
	}
}

/** An image's id, or its normalised name as records have it; null for what can be neither: it names no image. */
function toKey(text: string): string | null {
	if (isImageId(text)) return text.startsWith('sha256:') ? text : `sha256:${text}`;
	try {
		const reference = parseReference(text);
		return reference.digest === null ? toText(reference) : `${toName(reference)}@${reference.digest}`;
	} catch {
		return null;
	}
}
