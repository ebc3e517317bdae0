import {join} from 'node:path';
import {systemClock} from '../../../base/clock.js';
import type {Registry} from '../../fixtures/registry.js';
import type {CriClient} from '../../rig/cri-client.js';
import {startDaemon, type Daemon} from '../../rig/daemon.js';
import {toReference, type CutImages} from './images.js';
import {findDamage, listStoreFiles} from './layers-on-disk.js';
import {mountImage} from './power-disk.js';
import type {Promises} from './promises.js';

/** Damage that says the same in every line need not be read in full. */
const MAX_LINES = 4;
const PULL_TIMEOUT_MS = 120_000;
/** Garbage may be swept a moment later. */
const SWEEP_MS = 10_000;

export interface CheckParts extends CutImages {
	readonly registry: Registry;
	/** The disk that a cut left; it is changed. */
	readonly image: string;
	readonly mountPoint: string;
	readonly promises: Promises;
}
export type DamageKind =
	| 'not mounted or started'
	| 'promised and absent'
	| 'removed and back'
	| 'tag not as promised'
	| 'files not intact'
	| 'garbage'
	| 'not pulled again';
export interface Damage {
	readonly kind: DamageKind;
	readonly text: string;
}
export interface CheckFigures {
	/** [] = every promise holds. */
	readonly damage: readonly Damage[];
	readonly promised: number;
	/** Not promised, and there all the same. */
	readonly further: number;
	/** On the disk before the daemon started: what belongs to no image of a record, as a half-made layer does. */
	readonly leftovers: number;
	/** Of these, layers that say that they are whole, and are not. */
	readonly torn: number;
	/** Images whose files were all compared, over the whole check. */
	readonly compared: number;
	readonly daemonStarts: number;
}

/** Starts a daemon on the disk and holds it to what was promised. */
export async function checkCut(parts: CheckParts): Promise<CheckFigures> {
	const check = new Check(parts);
	try {
		const mounted = await mountImage(parts.image, parts.mountPoint);
		try {
			await check.run();
		} finally {
			await mounted[Symbol.asyncDispose]();
		}
	} catch (error) {
		check.damage.push({kind: 'not mounted or started', text: (error as Error).message});
	}
	const {damage, promised, further, leftovers, torn, compared, daemonStarts} = check;
	return {damage, promised, further, leftovers, torn, compared, daemonStarts};
}

class Check {
	readonly damage: Damage[] = [];
	promised = 0;
	further = 0;
	leftovers = 0;
	torn = 0;
	compared = 0;
	daemonStarts = 0;
	readonly #parts: CheckParts;
	readonly #rootDir: string;

	constructor(parts: CheckParts) {
		this.#parts = parts;
		this.#rootDir = join(parts.mountPoint, 'root');
	}

	async run(): Promise<void> {
		const {registry, content} = this.#parts;
		await this.#countLeftovers();
		// Nothing may be mended from there before it was looked at.
		for (const digest of content.blobs.keys()) registry.faults.set(digest, {kind: 'status', code: 503});
		try {
			await using daemon = await startDaemon(registry, {rootDir: this.#rootDir, logLevel: 'warn'});
			this.daemonStarts++;
			await this.#checkPromised(daemon.cri);
			await this.#checkGarbage('after the start');
			registry.faults.clear();
			await this.#checkPulls(daemon.cri);
			await this.#checkGarbage('after every image was pulled');
			await this.#checkRemoval(daemon);
		} finally {
			registry.faults.clear();
		}
	}

	/** Says what the test reaches; whatever is there, the daemon has to cope with it. */
	async #countLeftovers(): Promise<void> {
		const {garbage, layers} = await this.#findGarbage();
		const entries = new Map(this.#parts.images.flatMap(image => image.layers.map(layer => [layer.diffId, layer.entries] as const)));
		for (const name of garbage) {
			const archive = entries.get(layers.get(name) ?? '');
			if (archive !== undefined && (await findDamage(this.#rootDir, name, archive)).length > 0) this.torn++;
		}
		this.leftovers = garbage.length;
	}

	/** Those that were reported pulled are listed, under their tags, and everything that is listed is intact. */
	async #checkPromised(cri: CriClient): Promise<void> {
		const {promises, images} = this.#parts;
		const listed = await listIds(cri);
		for (const id of promises.imageIds) {
			if (!listed.has(id)) this.#add('promised and absent', `${this.#name(id)} was reported pulled, and is not listed`);
		}
		for (const id of promises.removedIds) if (listed.has(id)) this.#add('removed and back', `${this.#name(id)} was reported removed, and is listed`);
		for (const [reference, id] of promises.tags) {
			const {image} = await cri.image('ImageStatus', {image: {image: reference}});
			if (image?.id !== id)
				this.#add('tag not as promised', `${reference} is ${image === null ? 'absent' : this.#name(image.id)}, was reported pulled as ${this.#name(id)}`);
		}
		this.promised = promises.imageIds.size;
		this.further = images.filter(({id}) => listed.has(id) && !promises.imageIds.has(id)).length;
		await this.#compare(listed, 'after the start');
	}

	/** Every image can be pulled, whatever was left of it, and is then intact. */
	async #checkPulls(cri: CriClient): Promise<void> {
		for (const {tag, id} of this.#parts.images) {
			try {
				const {image_ref: pulled} = await cri.image('PullImage', {image: {image: toReference(tag)}}, PULL_TIMEOUT_MS);
				if (pulled !== id) this.#add('not pulled again', `${tag} was pulled again as ${pulled}, is ${id}`);
			} catch (error) {
				this.#add('not pulled again', `${tag} cannot be pulled again: ${(error as Error).message}`);
			}
		}
		await this.#compare(new Set(this.#parts.images.map(({id}) => id)), 'pulled again');
	}

	async #checkRemoval(daemon: Daemon): Promise<void> {
		for (const {id} of this.#parts.images) await daemon.cri.image('RemoveImage', {image: {image: id}});
		const find = async (): Promise<readonly string[]> => {
			const {layers, imageIds, others} = await listStoreFiles(this.#rootDir);
			return [...layers.keys(), ...imageIds, ...others, ...(await listIds(daemon.cri))];
		};
		const left = await findLasting(find);
		if (left.length > 0) this.#addList('garbage', 'every image is removed, and these are left', left);
	}

	/** The files of all layers of these images. */
	async #compare(ids: ReadonlySet<string>, when: string): Promise<void> {
		const {images} = this.#parts;
		const {layers} = await listStoreFiles(this.#rootDir);
		const names = new Map([...layers].flatMap(([name, diffId]) => (diffId === null ? [] : [[diffId, name] as const])));
		const damages = new Map<string, readonly string[]>();
		for (const id of ids) {
			const image = images.find(known => known.id === id);
			if (image === undefined) {
				this.#add('garbage', `${id} is listed ${when}, and is no image of the test`);
				continue;
			}
			for (const {diffId, entries} of image.layers) {
				const name = names.get(diffId);
				if (!damages.has(diffId)) damages.set(diffId, name === undefined ? ['no such directory'] : await findDamage(this.#rootDir, name, entries));
				const damage = damages.get(diffId) ?? [];
				if (damage.length > 0) this.#addList('files not intact', `${image.tag} ${when}: its layer ${diffId} is not intact`, damage);
			}
			this.compared++;
		}
	}

	async #checkGarbage(when: string): Promise<void> {
		const garbage = await findLasting(async () => (await this.#findGarbage()).garbage);
		if (garbage.length > 0) this.#addList('garbage', `garbage ${when}`, garbage);
	}

	/** Everything but the layers that a record's image has, each once: names of layers' directories, paths of other files. */
	async #findGarbage(): Promise<{readonly garbage: readonly string[]; readonly layers: ReadonlyMap<string, string | null>}> {
		const {layers, imageIds, others} = await listStoreFiles(this.#rootDir);
		const used = new Set(this.#parts.images.filter(({id}) => imageIds.includes(id)).flatMap(image => image.layers.map(({diffId}) => diffId)));
		const unused = [...layers].filter(([, diffId]) => diffId === null || !used.delete(diffId)).map(([name]) => name);
		return {garbage: [...unused, ...others], layers};
	}

	#add(kind: DamageKind, text: string): void {
		this.damage.push({kind, text});
	}

	#addList(kind: DamageKind, what: string, lines: readonly string[]): void {
		const more = lines.length > MAX_LINES ? [`and ${lines.length - MAX_LINES} more`] : [];
		this.#add(kind, `${what}: ${[...lines.slice(0, MAX_LINES), ...more].join('; ')}`);
	}

	#name(id: string): string {
		return this.#parts.images.find(known => known.id === id)?.tag ?? id;
	}
}

async function listIds(cri: CriClient): Promise<ReadonlySet<string>> {
	const {images} = await cri.image('ListImages', {});
	return new Set(images.map(({id}) => id));
}

/** @returns what is found and stays. */
async function findLasting(find: () => Promise<readonly string[]>): Promise<readonly string[]> {
	const endMs = systemClock.monotonicMs() + SWEEP_MS;
	for (;;) {
		const found = await find();
		if (found.length === 0 || systemClock.monotonicMs() > endMs) return found;
		await systemClock.sleep(50);
	}
}
