import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {systemClock} from '../../../base/clock.js';
import type {CriClient} from '../../rig/cri-client.js';
import {MOVING_TAG, toReference, type CutImage, type CutImages} from './images.js';
import {listStoreFiles} from './layers-on-disk.js';
import type {Mark} from './promises.js';
import type {Random} from './random.js';

const LANES = 3;
/** Of the daemon. */
const LIVES = 3;
const PULL_TIMEOUT_MS = 120_000;

export interface WorkloadParts extends CutImages {
	readonly cri: CriClient;
	/** The disk's. */
	readonly position: () => number;
	readonly random: Random;
	readonly operations: number;
	/** Kills the daemon, lets `meanwhile` happen, and starts it again. */
	readonly restart: (meanwhile: () => Promise<void>) => Promise<void>;
	/** The store's directory, of which a layer is taken away while there is no daemon. */
	readonly rootDir: string;
}

/**
 * Pulls, repeated pulls, pulls that are given up, a tag that moves, and removals, several at once, but one at a time for each image. Between, the daemon is killed
 * in the middle of a pull, and finds a layer missing when it starts again. @returns what was promised when.
 */
export async function runWorkload(parts: WorkloadParts): Promise<readonly Mark[]> {
	const workload = new Workload(parts);
	for (let life = 0; life < LIVES; life++) {
		if (life > 0) await workload.killInTheMiddle();
		await workload.run(Math.ceil(parts.operations / LIVES));
	}
	return workload.marks;
}

class Workload {
	readonly marks: Mark[] = [];
	readonly #parts: WorkloadParts;
	readonly #busy = new Set<string>();
	readonly #present = new Set<string>();
	#moving = false;

	constructor(parts: WorkloadParts) {
		this.#parts = parts;
	}

	async run(operations: number): Promise<void> {
		let left = operations;
		await Promise.all(
			Array.from({length: LANES}, async () => {
				while (left-- > 0) await this.#step();
			}),
		);
	}

	/** What the next daemon finds and does at its start is then part of the log too. */
	async killInTheMiddle(): Promise<void> {
		const {images, random, cri, restart} = this.#parts;
		const image = random.pick(images);
		const reference = toReference(image.tag);
		this.#mark('asked', reference, image.id);
		const pulling = cri.image('PullImage', {image: {image: reference}}, PULL_TIMEOUT_MS).catch(() => undefined);
		await systemClock.sleep(random.integer(80));
		await restart(() => this.#destroyLayer());
		await pulling;
	}

	/** Images that have it are promised no more, until they are reported pulled again: the daemon is to repair them. */
	async #destroyLayer(): Promise<void> {
		const {images, random, rootDir} = this.#parts;
		const layers = [...(await listStoreFiles(rootDir)).layers].filter(([, diffId]) => diffId !== null);
		if (layers.length === 0) return;
		const [name, diffId] = random.pick(layers);
		const positionBytes = this.#parts.position();
		for (const image of images) if (image.layers.some(layer => layer.diffId === diffId)) this.marks.push({kind: 'removing', positionBytes, imageId: image.id});
		await rm(join(rootDir, 'layers', name), {recursive: true});
	}

	async #step(): Promise<void> {
		const {images, random} = this.#parts;
		const image = random.pick(images.filter(({id}) => !this.#busy.has(id)));
		this.#busy.add(image.id);
		try {
			if (this.#present.has(image.id) && random.chance(0.45)) await this.#remove(image);
			else if (random.chance(0.1)) await this.#giveUp(image);
			else if (!this.#moving && random.chance(0.2)) await this.#move(image);
			else await this.#pull(image, image.tag);
		} finally {
			this.#busy.delete(image.id);
		}
		// A moment in which the disk may write and the file system commit by itself.
		if (random.chance(0.15)) await systemClock.sleep(random.integer(400));
	}

	async #pull(image: CutImage, tag: string): Promise<void> {
		const reference = toReference(tag);
		this.#mark('asked', reference, image.id);
		const {image_ref: pulled} = await this.#parts.cri.image('PullImage', {image: {image: reference}}, PULL_TIMEOUT_MS);
		this.#mark('pulled', reference, image.id);
		if (pulled !== image.id) throw new Error(`${reference} was pulled as ${pulled}, is ${image.id}`);
		this.#present.add(image.id);
	}

	async #move(image: CutImage): Promise<void> {
		this.#moving = true;
		try {
			this.#parts.content.tags.set(MOVING_TAG, image.index);
			await this.#pull(image, MOVING_TAG);
		} finally {
			this.#moving = false;
		}
	}

	/** The caller goes away in the middle: nothing is promised, and the pull may end well or not at all. */
	async #giveUp(image: CutImage): Promise<void> {
		const reference = toReference(image.tag);
		this.#mark('asked', reference, image.id);
		await this.#parts.cri.image('PullImage', {image: {image: reference}}, 1 + this.#parts.random.integer(60)).catch(() => undefined);
	}

	async #remove(image: CutImage): Promise<void> {
		this.marks.push({kind: 'removing', positionBytes: this.#parts.position(), imageId: image.id});
		this.#present.delete(image.id);
		await this.#parts.cri.image('RemoveImage', {image: {image: image.id}});
		this.marks.push({kind: 'removed', positionBytes: this.#parts.position(), imageId: image.id});
	}

	#mark(kind: 'asked' | 'pulled', reference: string, imageId: string): void {
		this.marks.push({kind, positionBytes: this.#parts.position(), reference, imageId});
	}
}
