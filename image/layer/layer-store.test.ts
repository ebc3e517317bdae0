import {createHash} from 'node:crypto';
import {mkdtemp, readdir, readFile, rm, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {silentLog} from '../../base/log.js';
import type {Kernel, UnpackResult} from '../../native/native.js';
import type {ImageOptions} from '../image.js';
import type {Descriptor} from '../manifest.js';
import type {FetchedLayer} from '../pull.js';
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

const SUMS: UnpackResult = {
	digest: DIGEST,
	compressedBytes: BLOB.length,
	diffId: DIGEST,
	uncompressedBytes: BLOB.length,
	diskBytes: 4096,
	inodes: 1,
	opaqueRoot: false,
	unnamedDirectories: Buffer.alloc(0),
	landlockVersion: 0,
};

/** Says at each sync what lies in layers/, and whether the new layer's record is there to be synced. */
function fakeKernel(layersDir: string, syncs: (readonly string[])[], inherited: (readonly string[])[] = []): Kernel {
	return {
		openUnpacker: async () => ({
			write: async () => {},
			finish: async () => ({...SUMS, unnamedDirectories: Buffer.from('tmp\0')}),
			abort: async () => {},
		}),
		removeTree: async (path: string) => await rm(path, {recursive: true, force: true}),
		inheritDirectories: async (_dir: string, lowerDirs: readonly string[]) => {
			for (const dir of lowerDirs) await stat(dir);
			inherited.push(lowerDirs.map(dir => dir.slice(layersDir.length + 1)));
		},
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
		await layers.ensure(SOURCE, {descriptor: DESCRIPTOR, diffId: DIGEST, chainId: DIGEST, below: []}, new AbortController().signal);
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

test('a layer takes over directories only once all layers below are there, also one that is fetched again below another', async t => {
	const rootDir = await mkdtemp(join(tmpdir(), 'berth-layers-'));
	t.teardown(async () => await rm(rootDir, {recursive: true, force: true}));
	const inherited: (readonly string[])[] = [];
	const options = {rootDir, maxLayerBytes: 1e6, maxLayerInodes: 100} as ImageOptions;
	const layers = await LayerStore.open(options, fakeKernel(join(rootDir, 'layers'), [], inherited), silentLog);
	const {signal} = new AbortController();
	const layer = (chainId: string, below: readonly string[]): FetchedLayer => ({descriptor: DESCRIPTOR, diffId: DIGEST, chainId, below});
	const bottom = layer('bottom', []);
	const middle = layer('middle', ['bottom']);
	const top = layer('top', ['bottom', 'middle']);
	await Promise.all([bottom, middle].map(async one => await layers.ensure(SOURCE, one, signal)));
	await layers.collect(['bottom']);
	t.false(layers.has('bottom'));
	const fetchedTop = layers.ensure(SOURCE, top, signal);
	// Time enough to go wrong: the top one's files are all there.
	for (let turns = 0; turns < 50; turns++) await new Promise(resolve => setImmediate(resolve));
	t.false(layers.has('top'));
	await layers.ensure(SOURCE, bottom, signal);
	await fetchedTop;
	t.is(inherited.length, 2);
	t.deepEqual(inherited[1], ['2/fs', '3/fs']);
});

test('a layer whose pull is given up while it waits for one below leaves nothing', async t => {
	const rootDir = await mkdtemp(join(tmpdir(), 'berth-layers-'));
	t.teardown(async () => await rm(rootDir, {recursive: true, force: true}));
	const layers = await LayerStore.open({rootDir, maxLayerBytes: 1e6, maxLayerInodes: 100} as ImageOptions, fakeKernel(join(rootDir, 'layers'), []), silentLog);
	const given = new AbortController();
	const waiting = layers.ensure(SOURCE, {descriptor: DESCRIPTOR, diffId: DIGEST, chainId: 'top', below: ['bottom']}, given.signal);
	const refused = t.throwsAsync(waiting, {message: 'given up'});
	const countDirs = async (): Promise<number> => (await readdir(join(rootDir, 'layers'))).length;
	while ((await countDirs()) === 1) await new Promise(resolve => setImmediate(resolve));
	given.abort(new Error('given up'));
	await refused;
	// Only "empty" is left; the test times out else.
	while ((await countDirs()) > 1) await new Promise(resolve => setImmediate(resolve));
	t.pass();
});

test('a pull that joined the fetch of another goes on with its own source when that one gives up', async t => {
	const rootDir = await mkdtemp(join(tmpdir(), 'berth-layers-'));
	t.teardown(async () => await rm(rootDir, {recursive: true, force: true}));
	const layers = await LayerStore.open({rootDir, maxLayerBytes: 1e6, maxLayerInodes: 100} as ImageOptions, fakeKernel(join(rootDir, 'layers'), []), silentLog);
	const {promise: closed, reject: close} = Promise.withResolvers<never>();
	closed.catch(() => {});
	const {promise: asked, resolve: ask} = Promise.withResolvers<void>();
	const first = {
		async *blob() {
			ask();
			await closed;
			yield BLOB;
		},
	} as unknown as ImageSource;
	const layer: FetchedLayer = {descriptor: DESCRIPTOR, diffId: DIGEST, chainId: 'one', below: []};
	const given = new AbortController();
	const refused = t.throwsAsync(layers.ensure(first, layer, given.signal), {message: 'given up'});
	await asked;
	const joined = layers.ensure(SOURCE, layer, new AbortController().signal);
	given.abort(new Error('given up'));
	await refused;
	// As the first pull does when it ends: its requests end with it.
	close(new Error('source closed'));
	t.is((await joined).chainId, 'one');
});

test('a layer that arrives when nobody waits for it any more is not kept', async t => {
	const rootDir = await mkdtemp(join(tmpdir(), 'berth-layers-'));
	t.teardown(async () => await rm(rootDir, {recursive: true, force: true}));
	const {promise: finishing, resolve: finish} = Promise.withResolvers<void>();
	const {promise: asked, resolve: ask} = Promise.withResolvers<void>();
	const kernel = fakeKernel(join(rootDir, 'layers'), []);
	const slow: Kernel = {
		...kernel,
		openUnpacker: async request => ({
			...(await kernel.openUnpacker(request)),
			finish: async () => {
				ask();
				await finishing;
				return SUMS;
			},
		}),
	};
	const layers = await LayerStore.open({rootDir, maxLayerBytes: 1e6, maxLayerInodes: 100} as ImageOptions, slow, silentLog);
	const given = new AbortController();
	const refused = t.throwsAsync(layers.ensure(SOURCE, {descriptor: DESCRIPTOR, diffId: DIGEST, chainId: 'one', below: []}, given.signal), {
		message: 'given up',
	});
	await asked;
	given.abort(new Error('given up'));
	await refused;
	finish();
	// Times out when something stays.
	while ((await readdir(join(rootDir, 'layers'))).length > 1) await new Promise(resolve => setImmediate(resolve));
	t.false(layers.has('one'));
	t.deepEqual(layers.usage, {bytes: 0, inodes: 0});
});
