import {addImage, toDigest, toLayer, type Blobs, type Descriptor, type Layer} from '../../fixtures/content.js';
import {HOSTS, type RegistryContent} from '../../fixtures/images.js';
import type {TarEntry} from '../../fixtures/tar.js';
import type {Random} from './random.js';

const LAYERS = 10;
const IMAGES = 12;
const FILES_PER_LAYER = 24;
const LARGE_FILE_BYTES = 600_000;
export const MOVING_TAG = 'cut/moving:latest';

export interface CutLayer {
	readonly diffId: string;
	readonly entries: readonly TarEntry[];
}
export interface CutImage {
	readonly id: string;
	/** "cut/image-3:1", as the registry knows it. */
	readonly tag: string;
	readonly index: Descriptor;
	readonly layers: readonly CutLayer[];
}
export interface CutImages {
	readonly content: RegistryContent;
	readonly images: readonly CutImage[];
}

export function toReference(tag: string): string {
	return `${HOSTS[0]}/${tag}`;
}

/** Images that share layers; a layer has empty, small and large files, hard links and symbolic links. */
export function buildCutImages(random: Random): CutImages {
	const layers = Array.from({length: LAYERS}, (_, number) => toCutLayer(number, random));
	const [base] = layers;
	if (base === undefined) throw new RangeError('no layers');
	const content: RegistryContent = {blobs: new Map(), tags: new Map(), base: base.layer};
	const images = Array.from({length: IMAGES}, (_, number) => {
		const chosen = [base, ...layers.slice(1).filter(() => random.chance(0.3))];
		const source = {
			format: number % 2 === 0 ? 'oci' : 'docker',
			layers: chosen.map(({layer}) => layer),
			config: {Cmd: ['/x'], Env: [`NUMBER=${number}`]},
		} as const;
		const index = addImage(content.blobs, source);
		const tag = `cut/image-${number}:1`;
		content.tags.set(tag, index);
		return {id: findImageId(content.blobs, index), tag, index, layers: chosen.map(({layer: {diffId}, entries}) => ({diffId, entries}))};
	});
	return {content, images};
}

function toCutLayer(number: number, random: Random): {readonly layer: Layer; readonly entries: readonly TarEntry[]} {
	const dir = `d${number}`;
	const files = Array.from(
		{length: FILES_PER_LAYER},
		(_, index) => ({type: 'file', path: `${dir}/f${index}`, content: random.bytes(toSize(index, random))}) as const,
	);
	const entries: readonly TarEntry[] = [
		{type: 'directory', path: `${dir}/`},
		{type: 'directory', path: `${dir}/sub/`, mode: 0o700},
		...files,
		{type: 'file', path: `${dir}/sub/script`, mode: 0o4755, uid: 1000, gid: 1001, content: `#!/bin/sh\necho ${number}\n`},
		{type: 'hardlink', path: `${dir}/sub/hard`, target: `${dir}/f1`},
		{type: 'symlink', path: `${dir}/sub/soft`, target: `../f${number}`},
	];
	return {layer: toLayer(entries, (['gzip', 'zstd', 'none'] as const)[number % 3] ?? 'gzip'), entries};
}

function toSize(index: number, random: Random): number {
	if (index === 0) return 0;
	if (index === 1) return random.integer(LARGE_FILE_BYTES) + 1;
	return index % 3 === 0 ? random.integer(60_000) + 1 : random.integer(3000) + 1;
}

/** The config's digest, of the manifest for this machine: addImage puts it last. */
function findImageId(blobs: Blobs, index: Descriptor): string {
	const {manifests} = parse(blobs, index.digest) as {readonly manifests: readonly Descriptor[]};
	const {config} = parse(blobs, manifests.at(-1)?.digest ?? '') as {readonly config: Descriptor};
	return config.digest;
}

function parse(blobs: Blobs, digest: string): unknown {
	const bytes = blobs.get(digest);
	if (bytes === undefined || toDigest(bytes) !== digest) throw new Error(`fixture: no blob ${digest}`);
	return JSON.parse(bytes.toString());
}
