import {createHash} from 'node:crypto';
import {mkdtemp, readdir, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {silentLog} from '../../base/log.js';
import type {Kernel} from '../../native/native.js';
import type {ImageOptions} from '../image.js';
import type {Descriptor} from '../manifest.js';
import type {ImageSource} from '../source.js';
import {LayerStore} from './layer-store.js';

const BLOB = Buffer.from('a layer');
const DIGEST = `sha256:${createHash('sha256').update(BLOB).digest('hex')}`;
const DESCRIPTOR: Descriptor = {mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: DIGEST, size: BLOB.length};
const SOURCE = {
	async *blob() {
		yield BLOB;
	},
} as unknown as ImageSource;

/** Says at each sync what lies in layers/, and whether the new layer's record is there to be synced. */
function fakeKernel(layersDir: string, syncs: (readonly string[])[]): Kernel {
	return {
		openUnpacker: async () => ({
			write: async () => {},
			finish: async () => ({diffId: DIGEST, uncompressedBytes: BLOB.length, diskBytes: 4096, inodes: 1}),
			abort: async () => {},
		}),
		removeTree: async (path: string) => await rm(path, {recursive: true, force: true}),
		syncFilesystem: async (path: string) => {
			await readFile(join(path, 'layer.json'));
			syncs.push(await readdir(layersDir));
		},
	} as unknown as Kernel;
}

/** @returns what lay in layers/ at each sync, and at the end. */
async function fetchOne(claimed: readonly string[]): Promise<{readonly syncs: readonly (readonly string[])[]; readonly after: readonly string[]}> {
	const rootDir = await mkdtemp(join(tmpdir(), 'berth-layers-'));
	try {
		const syncs: (readonly string[])[] = [];
		const options = {rootDir, maxLayerBytes: 1e6, maxLayerInodes: 100} as ImageOptions;
		const layers = await LayerStore.open(options, fakeKernel(join(rootDir, 'layers'), syncs), silentLog);
		layers.claim(claimed);
		await layers.ensure(SOURCE, DESCRIPTOR, DIGEST, new AbortController().signal);
		return {syncs, after: await readdir(join(rootDir, 'layers'))};
	} finally {
		await rm(rootDir, {recursive: true, force: true});
	}
}

test('a layer that a record on disk names is synced before it is in its place: after a power cut a torn one would have counted as whole', async t => {
	const {syncs, after} = await fetchOne([DIGEST]);
	t.is(syncs.length, 1);
	t.false(syncs[0]?.includes('1'), 'it was in its place before it was synced');
	t.true(after.includes('1'));
});

test('a layer that no record names yet waits for no sync of its own', async t => {
	const {syncs, after} = await fetchOne([]);
	t.deepEqual(syncs, []);
	t.true(after.includes('1'));
});
