import {randomBytes} from 'node:crypto';
import {chmod, mkdir, readdir, rename, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {CorruptError, ResourceExhaustedError, throwIfCancelled} from '../../base/errors.js';
import {JoinedCalls} from '../../base/joined-calls.js';
import type {Logger} from '../../base/log.js';
import type {Kernel, Unpacker, UnpackResult} from '../../native/native.js';
import type {ImageOptions} from '../image.js';
import {toCompression} from '../manifest.js';
import type {FetchedLayer} from '../pull.js';
import type {ImageSource} from '../source.js';
import {type LayerRecord, readLayerRecord, type RootLook, toLayerJson} from './layer-record.js';

/**
 * Unpacked layers by chain id: each is on disk once, however many images have it. Not by diffID, as what a layer's directories look like that its archive does not
 * name is for the layers below it to say.
 */
export class LayerStore {
	readonly #dir: string;
	readonly #options: ImageOptions;
	readonly #kernel: Kernel;
	readonly #layers = new Map<string, LayerRecord>();
	readonly #references = new Map<string, number>();
	readonly #fetches = new JoinedCalls<LayerRecord>();
	readonly #claimed = new Set<string>();
	/** Called when the layer is there. */
	readonly #awaited = new Map<string, Set<() => void>>();
	/** Compressed bytes so far of layers being fetched. */
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
		// Setuid programs of images lie below: nobody on the machine may run them from here. Containers see them by mounts, which need no way through.
		await chmod(store.#dir, 0o700);
		for (const name of await readdir(store.#dir)) {
			if (name === 'empty') continue;
			const record = await readLayerRecord(join(store.#dir, name), name);
			if (record !== null && !store.#layers.has(record.chainId)) store.#add(record);
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
	receivedBytes(chainId: string): number {
		return this.#received.get(chainId) ?? 0;
	}

	has(chainId: string): boolean {
		return this.#layers.has(chainId);
	}

	chainIds(): readonly string[] {
		return [...this.#layers.keys()];
	}

	/** Lower directories for overlay, topmost first; none below a layer that hides all of them, which overlay itself does not see. */
	lowerDirs(chainIds: readonly string[]): readonly string[] {
		const dirs: string[] = [];
		for (const chainId of chainIds.toReversed()) {
			const {name, opaqueRoot} = this.#get(chainId);
			dirs.push(join(this.#dir, name, 'fs'));
			if (opaqueRoot) break;
		}
		return dirs.length === 0 ? [join(this.#dir, 'empty', 'fs')] : dirs;
	}

	/** What the root directory looks like with these layers, lowest first. */
	rootLook(chainIds: readonly string[]): RootLook {
		const top = chainIds.at(-1);
		return top === undefined ? {mode: 0o755, uid: 0, gid: 0} : this.#get(top).root;
	}

	/** The layer stays until release() was called as often. */
	retain(chainIds: readonly string[]): void {
		for (const chainId of chainIds) this.#references.set(chainId, (this.#references.get(chainId) ?? 0) + 1);
	}

	release(chainIds: readonly string[]): void {
		for (const chainId of chainIds) {
			const left = (this.#references.get(chainId) ?? 0) - 1;
			if (left > 0) this.#references.set(chainId, left);
			else this.#references.delete(chainId);
		}
	}

	/**
	 * These are named by a record on disk, which makes them count from the moment they are seen, also after a power cut: each is synced before it is put in its place.
	 * Others count only once a record names them, which is after a sync.
	 */
	claim(chainIds: Iterable<string>): void {
		for (const chainId of chainIds) this.#claimed.add(chainId);
	}

	/** Removes those that nobody retains. */
	async collect(chainIds: Iterable<string>): Promise<void> {
		for (const chainId of new Set(chainIds)) {
			const record = this.#layers.get(chainId);
			if (record === undefined || this.#references.has(chainId)) continue;
			this.#layers.delete(chainId);
			this.#usage = {bytes: this.#usage.bytes - record.diskBytes, inodes: this.#usage.inodes - record.inodes};
			// Out of sight first: a removal that is cut short must not look like a layer.
			const gone = join(this.#dir, `gone-${randomBytes(6).toString('hex')}`);
			await rename(join(this.#dir, record.name), gone);
			await this.#kernel.removeTree(gone);
		}
	}

	/**
	 * Fetches and unpacks the layer unless it is there; joins a fetch of the same one in flight. Resolves after the layers below it, whose fetches the caller has begun
	 * before; several unpack at once.
	 */
	async ensure(source: ImageSource, layer: FetchedLayer, signal: AbortSignal): Promise<LayerRecord> {
		const {chainId} = layer;
		for (;;) {
			const there = this.#layers.get(chainId);
			if (there !== undefined) return there;
			let isOwn = false;
			try {
				return await this.#fetches.run(chainId, signal, async joined => {
					isOwn = true;
					return await this.#fetchUnlessLeft(source, layer, joined);
				});
			} catch (error) {
				// What another pull's source could not give, or gave up with that pull, ours may: then this one fetches itself.
				if (isOwn || signal.aborted) throw error;
			}
		}
	}

	async #fetchUnlessLeft(source: ImageSource, layer: FetchedLayer, signal: AbortSignal): Promise<LayerRecord> {
		const record = this.#layers.get(layer.chainId) ?? (await this.#fetch(source, layer, signal));
		// Nobody waits any more: those who did have collected before it was there.
		if (signal.aborted) await this.collect([layer.chainId]);
		return record;
	}

	async #fetch(source: ImageSource, layer: FetchedLayer, signal: AbortSignal): Promise<LayerRecord> {
		const temporary = join(this.#dir, `new-${randomBytes(6).toString('hex')}`);
		const targetDir = join(temporary, 'fs');
		await mkdir(targetDir, {recursive: true, mode: 0o755});
		try {
			const sums = await this.#unpack(source, layer, targetDir, signal);
			await this.#finishDirectories(layer, targetDir, sums, signal);
			const {mode, uid, gid} = await stat(targetDir);
			return await this.#keep(temporary, layer, {...sums, root: {mode: mode & 0o7777, uid, gid}});
		} catch (error) {
			await this.#kernel.removeTree(temporary);
			throw error;
		} finally {
			this.#received.delete(layer.chainId);
		}
	}

	async #unpack(source: ImageSource, {descriptor, diffId, chainId}: FetchedLayer, targetDir: string, signal: AbortSignal): Promise<UnpackResult> {
		const {maxLayerBytes, maxLayerInodes} = this.#options;
		const compression = toCompression(descriptor.mediaType);
		const unpacker = await this.#kernel.openUnpacker({targetDir, compression, maxBytes: maxLayerBytes, maxInodes: maxLayerInodes});
		try {
			const sums = await feed(unpacker, source.blob(descriptor, signal), receivedBytes => {
				// A source on disk does not look at the signal.
				throwIfCancelled(signal, 'pull');
				this.#pulledBytes += receivedBytes - this.receivedBytes(chainId);
				this.#received.set(chainId, receivedBytes);
			});
			if (sums.compressedBytes !== descriptor.size) throw new CorruptError(`has ${sums.compressedBytes} bytes, must have ${descriptor.size}`);
			if (sums.digest !== descriptor.digest) throw new CorruptError(`has digest ${sums.digest}`);
			if (sums.diffId !== diffId) throw new CorruptError(`unpacks to diffID ${sums.diffId}, the image config says ${diffId}`);
			return sums;
		} catch (error) {
			await unpacker.abort();
			throw naming(descriptor.digest, error);
		}
	}

	/** Once the layers below are there: directories that the archive does not name take over what those say of them. */
	async #finishDirectories({below}: FetchedLayer, targetDir: string, {opaqueRoot, unnamedDirectories}: UnpackResult, signal: AbortSignal): Promise<void> {
		if (below.length === 0 || unnamedDirectories.length === 0 || opaqueRoot) return;
		// All of them: one may be fetched again below another that was there all the time.
		for (const chainId of below) await this.#arrival(chainId, signal);
		await this.#kernel.inheritDirectories(targetDir, this.lowerDirs(below), unnamedDirectories);
	}

	/** @throws what `signal` says: the layer's own fetch failed, and with it the pulls that wait here. */
	async #arrival(chainId: string, signal: AbortSignal): Promise<void> {
		if (this.#layers.has(chainId)) return;
		const waiting = this.#awaited.get(chainId) ?? new Set();
		this.#awaited.set(chainId, waiting);
		await new Promise<void>((resolve, reject) => {
			const leave = (): void => {
				waiting.delete(arrive);
				if (waiting.size === 0) this.#awaited.delete(chainId);
				reject(signal.reason as Error);
			};
			const arrive = (): void => {
				signal.removeEventListener('abort', leave);
				resolve();
			};
			if (signal.aborted) return leave();
			signal.addEventListener('abort', leave, {once: true});
			waiting.add(arrive);
			return undefined;
		});
	}

	async #keep(
		temporary: string,
		{chainId, diffId}: FetchedLayer,
		{diskBytes, inodes, opaqueRoot, root}: UnpackResult & {readonly root: RootLook},
	): Promise<LayerRecord> {
		const record = {chainId, diffId, name: String(this.#nextName++), diskBytes, inodes, opaqueRoot, root};
		await writeFile(join(temporary, 'layer.json'), toLayerJson(record), {mode: 0o600});
		if (this.#claimed.has(chainId)) await this.#kernel.syncFilesystem(temporary);
		await rename(temporary, join(this.#dir, record.name));
		this.#add(record);
		const waiting = this.#awaited.get(chainId);
		this.#awaited.delete(chainId);
		for (const arrive of waiting ?? []) arrive();
		return record;
	}

	#add(record: LayerRecord): void {
		this.#layers.set(record.chainId, record);
		this.#nextName = Math.max(this.#nextName, Number(record.name) + 1);
		this.#usage = {bytes: this.#usage.bytes + record.diskBytes, inodes: this.#usage.inodes + record.inodes};
	}

	#get(chainId: string): LayerRecord {
		const record = this.#layers.get(chainId);
		if (record === undefined) throw new CorruptError(`layer ${chainId} is missing: pull the image again`, {chainId});
		return record;
	}
}

async function feed(unpacker: Unpacker, stream: AsyncIterable<Uint8Array>, received: (bytes: number) => void): Promise<UnpackResult> {
	let receivedBytes = 0;
	for await (const chunk of stream) {
		receivedBytes += chunk.length;
		received(receivedBytes);
		await unpacker.write(chunk);
	}
	return await unpacker.finish();
}

/** What the unpacker finds wrong does not say of which layer. */
function naming(digest: string, error: unknown): unknown {
	if (!(error instanceof Error) || error.message.includes(digest)) return error;
	const text = `layer ${digest}: ${error.message}`;
	if (error instanceof CorruptError) return new CorruptError(text, error.details, {cause: error});
	return error instanceof ResourceExhaustedError ? new ResourceExhaustedError(text, error.details, {cause: error}) : error;
}
