import {createCipheriv, createHash} from 'node:crypto';
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {addImage, toLayer, type Blobs, type Compression, type Descriptor} from '../fixtures/content.js';
import {startDockerRegistry, type DockerRegistry} from '../fixtures/docker-registry.js';
import {PROJECT_DIR} from '../fixtures/images.js';
import {pushImage} from '../fixtures/push.js';
import type {TarEntry} from '../fixtures/tar.js';

/** The image of `make bench-pull`: the same bytes on every machine with the same zlib. */
export const REPOSITORY = 'bench/mixed';
export const COMPRESSIONS = ['gzip', 'zstd'] as const satisfies readonly Compression[];

/** Percent of all files per layer, lowest first: a base, then ever smaller ones, as builds give them. */
const LAYER_PERCENT = [25, 18, 14, 11, 9, 7, 6, 4, 3, 3] as const;
const SMALL_FILES = 25_000;
const MIN_SMALL_BYTES = 1024;
const MAX_SMALL_BYTES = 16 * 1024;
const LARGE_FILES_MB = [5, 5, 5, 5, 5, 6, 6, 7, 7, 8, 8, 17] as const;
const FILES_PER_DIRECTORY = 50;

export interface ImageFacts {
	readonly layers: number;
	readonly files: number;
	/** Of all files, uncompressed. */
	readonly contentBytes: number;
	readonly compressedBytes: Readonly<Record<(typeof COMPRESSIONS)[number], number>>;
}

/** Bytes that look random and are the same every time: AES in counter mode. */
class Random {
	readonly #cipher = createCipheriv('aes-128-ctr', 'berth bench pull', Buffer.alloc(16));

	bytes(length: number): Buffer {
		return this.#cipher.update(Buffer.alloc(length));
	}

	/** min <= result < max */
	between(min: number, max: number): number {
		return min + (this.bytes(4).readUInt32LE() % (max - min));
	}
}

/** What compressible content is made of; the first are frequent, most are rare. */
interface Vocabularies {
	readonly text: readonly string[];
	/** Latin-1: any byte. */
	readonly machineCode: readonly string[];
}

function toVocabularies(random: Random): Vocabularies {
	const letters = 'etaoinshrdlucmfwypvbgkjqxzetaoin';
	return {
		text: Array.from(
			{length: 2000},
			(_, rank) => [...random.bytes(random.between(2, 12))].map(byte => letters[byte & 31]).join('') + (rank % 11 === 0 ? '\n' : ' '),
		),
		machineCode: Array.from({length: 3000}, () => random.bytes(random.between(3, 16)).toString('latin1')),
	};
}

/** Three kinds, as in images: text (12 files of 20), programs (7), and what is compressed already (1). */
function toContent(random: Random, {text, machineCode}: Vocabularies, length: number): Buffer {
	const kind = random.between(0, 20);
	const noise = random.bytes(length);
	if (kind === 19) return noise;
	const words = kind < 12 ? text : machineCode;
	let content = '';
	for (let i = 0; content.length < length; i = (i + 2) % (length - 1)) {
		content += words[Math.floor(words.length * (noise.readUInt16LE(i) / 65_536) ** 5)] ?? '';
	}
	return Buffer.from(content.slice(0, length), 'latin1');
}

/** Entries of each layer: directories first named, files of all sizes mixed. */
function* toLayers(): Generator<readonly TarEntry[]> {
	const random = new Random();
	const vocabularies = toVocabularies(random);
	const large = [...LARGE_FILES_MB];
	for (const [layer, percent] of LAYER_PERCENT.entries()) {
		const entries: TarEntry[] = [{type: 'directory', path: `layer-${layer}/`}];
		const files = Math.round((SMALL_FILES * percent) / 100);
		for (let i = 0; i < files; i++) {
			const directory = `layer-${layer}/${Math.floor(i / FILES_PER_DIRECTORY)}`;
			if (i % FILES_PER_DIRECTORY === 0) entries.push({type: 'directory', path: `${directory}/`});
			entries.push({type: 'file', path: `${directory}/file-${i}`, content: toContent(random, vocabularies, random.between(MIN_SMALL_BYTES, MAX_SMALL_BYTES))});
		}
		const largeHere = large.splice(0, layer < 2 ? 2 : 1);
		for (const [i, megabytes] of largeHere.entries())
			entries.push({type: 'file', path: `layer-${layer}/large-${i}`, mode: 0o755, content: toContent(random, vocabularies, megabytes * 1_000_000)});
		yield entries;
	}
}

function buildImage(compression: Compression, blobs: Blobs): {readonly index: Descriptor; readonly files: number; readonly contentBytes: number} {
	let files = 0;
	let contentBytes = 0;
	const layers = [];
	for (const entries of toLayers()) {
		for (const entry of entries) {
			if (entry.type !== 'file') continue;
			files++;
			contentBytes += entry.content.length;
		}
		layers.push(toLayer(entries, compression));
	}
	return {index: addImage(blobs, {format: 'oci', layers, config: {Cmd: ['true']}}), files, contentBytes};
}

/** Starts a registry, in a process of its own, that has the image as :gzip and :zstd. It is made once and kept in .cache/. */
export async function openBenchRegistry(): Promise<{readonly registry: DockerRegistry; readonly facts: ImageFacts}> {
	const dir = join(PROJECT_DIR, '.cache/bench-registry');
	const factsFile = join(dir, 'facts.json');
	const key = await imageKey();
	const kept = await readFacts(factsFile, key);
	if (kept === null) await rm(dir, {recursive: true, force: true});
	await mkdir(dir, {recursive: true});
	const registry = await startDockerRegistry({dir, tls: null, htpasswd: null});
	if (kept !== null) return {registry, facts: kept};
	try {
		process.stdout.write('making the image and putting it into the registry (about a minute, once)\n');
		const facts = await publish(registry);
		await writeFile(factsFile, JSON.stringify({key, facts}));
		return {registry, facts};
	} catch (error) {
		await registry[Symbol.asyncDispose]();
		throw error;
	}
}

async function publish({url}: DockerRegistry): Promise<ImageFacts> {
	const compressedBytes = {gzip: 0, zstd: 0};
	let made = {files: 0, contentBytes: 0};
	for (const tag of COMPRESSIONS) {
		const blobs: Blobs = new Map();
		const image = buildImage(tag, blobs);
		made = image;
		for (const blob of blobs.values()) compressedBytes[tag] += blob.length;
		await pushImage(blobs, image.index, {url, repository: REPOSITORY, tag, credentials: null, ca: null});
	}
	return {layers: LAYER_PERCENT.length, files: made.files, contentBytes: made.contentBytes, compressedBytes};
}

/** Of the code that makes the image, and of the libraries that compress it. */
async function imageKey(): Promise<string> {
	const hash = createHash('sha256').update(JSON.stringify([process.versions.zlib, process.versions.zstd]));
	for (const file of ['./pull-image.js', '../fixtures/content.js', '../fixtures/pax.js', '../fixtures/tar.js'])
		hash.update(await readFile(fileURLToPath(new URL(file, import.meta.url))));
	return hash.digest('hex');
}

async function readFacts(path: string, key: string): Promise<ImageFacts | null> {
	try {
		const kept = JSON.parse(await readFile(path, 'utf8')) as {readonly key: string; readonly facts: ImageFacts};
		return kept.key === key ? kept.facts : null;
	} catch {
		return null;
	}
}
