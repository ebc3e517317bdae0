import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {InvalidArgumentError, NotFoundError} from '../base/errors.js';
import {silentLog} from '../base/log.js';
import type {ContentStore} from './content/content-store.js';
import type {ImageOptions} from './image.js';
import type {LayerStore} from './layer/layer-store.js';
import type {FetchedImage} from './pull.js';
import {ImageRecords} from './records.js';
import {parseReference} from './reference.js';
import {Registration} from './registration.js';

const idOf = (digit: string): string => `sha256:${digit.repeat(64)}`;
const options = {pinnedImages: ['*/pause:*', 'registry.k8s.io/pause:*']} as unknown as ImageOptions;

/** Counts what is retained, by key. */
function counting() {
	const counts = new Map<string, number>();
	const change = (keys: readonly string[], by: number): void => {
		for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + by);
	};
	return {
		counts,
		store: {
			retain: (keys: readonly string[]) => change(keys, 1),
			release: (keys: readonly string[]) => change(keys, -1),
			collect: async () => {},
		},
	};
}

async function registrationWith(t: ExecutionContext, isWhole: () => boolean = () => true, rootDir: string | null = null) {
	const dir = rootDir ?? (await mkdtemp(join(tmpdir(), 'berth-registration-')));
	t.teardown(async () => await rm(dir, {recursive: true, force: true}));
	const records = await ImageRecords.open(dir, {isWhole, isPinned: () => false}, silentLog);
	const layers = counting();
	const content = counting();
	const parts = {options, records, layers: layers.store as unknown as LayerStore, content: content.store as unknown as ContentStore};
	return {dir, records, layers: layers.counts, content: content.counts, registration: new Registration(parts)};
}

function fetched(digit: string): FetchedImage {
	const descriptor = {mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: idOf('d'), size: 5};
	return {
		id: idOf(digit),
		digest: idOf('9'),
		config: {user: '', env: [], entrypoint: [], cmd: [], workingDir: '', volumes: [], stopSignal: '', labels: {}},
		configJson: '{}',
		sizeBytes: 5,
		manifest: {digest: idOf('9'), mediaType: 'm', json: '{}'},
		layers: [{descriptor, diffId: idOf('e'), chainId: idOf('e'), below: []}],
	};
}

test('Registration: a tag moves to the image pulled last; what is recorded retains its layers once', async t => {
	const {records, layers, registration} = await registrationWith(t);
	const x = parseReference('registry.k8s.io/x:1');
	await registration.add(fetched('1'), [x]);
	await registration.add(fetched('1'), [x]);
	t.is(layers.get(idOf('e')), 1);
	await registration.add(fetched('2'), [x, parseReference('registry.k8s.io/pause:3.9')]);
	t.deepEqual(records.get(idOf('1'))?.repoTags, []);
	t.deepEqual(records.get(idOf('2'))?.repoTags, ['registry.k8s.io/pause:3.9', 'registry.k8s.io/x:1']);
	t.true(records.get(idOf('2'))?.pinned);
	t.is(layers.get(idOf('e')), 2);
	await registration.remove(() => records.get(idOf('2')));
	await registration.remove(() => records.get(idOf('2')));
	t.is(layers.get(idOf('e')), 1);
});

test('Registration: a repaired image keeps its names, and one that was removed meanwhile does not come back', async t => {
	const before = await registrationWith(t);
	await before.registration.add(fetched('1'), [parseReference('registry.k8s.io/x:1')]);
	const {records, layers, registration} = await registrationWith(t, () => false, before.dir);
	t.is(records.get(idOf('1')), null);
	await registration.add(fetched('1'), null);
	t.deepEqual(records.get(idOf('1'))?.repoTags, ['registry.k8s.io/x:1']);
	t.is(layers.get(idOf('e')), 1);
	await registration.remove(() => records.get(idOf('1')));
	await t.throwsAsync(registration.add(fetched('1'), null), {instanceOf: NotFoundError});
	t.deepEqual(records.list(), []);
	t.is(layers.get(idOf('e')), 0);
	t.deepEqual(await readdir(join(before.dir, 'images')), []);
});

test('Registration.tag wants a name with a tag, and takes it from who had it', async t => {
	const {records, registration} = await registrationWith(t);
	await registration.add(fetched('1'), [parseReference('registry.k8s.io/x:1')]);
	await registration.add(fetched('2'), [parseReference('registry.k8s.io/x:2')]);
	const first = () => {
		const image = records.get(idOf('1'));
		if (image === null) throw new NotFoundError('image', 'x');
		return image;
	};
	await t.throwsAsync(registration.tag(first, `registry.k8s.io/x@${idOf('a')}`), {instanceOf: InvalidArgumentError});
	await registration.tag(first, 'registry.k8s.io/x:2');
	t.deepEqual(records.get(idOf('1'))?.repoTags, ['registry.k8s.io/x:1', 'registry.k8s.io/x:2']);
	t.deepEqual(records.get(idOf('2'))?.repoTags, []);
	t.is(records.findByName('registry.k8s.io/x:2')?.id, idOf('1'));
});
