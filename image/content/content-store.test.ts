import {mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {CorruptError} from '../../base/errors.js';
import {type Descriptor, digestOf} from '../manifest.js';
import type {ImageSource} from '../source.js';
import {ContentStore} from './content-store.js';

const signal = new AbortController().signal;
const blob = Buffer.from('a layer');
const descriptor: Descriptor = {mediaType: 'm', digest: digestOf(blob), size: blob.length};
const path = (dir: string, digest = descriptor.digest): string => join(dir, 'content/sha256', digest.slice(7));

async function makeDir(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), 'berth-content-'));
	t.teardown(async () => await rm(dir, {recursive: true, force: true}));
	return dir;
}

/** Counts how often it is read. */
function source(bytes: Buffer): ImageSource & {reads: number} {
	return {
		reads: 0,
		manifest: async () => bytes,
		async *blob() {
			this.reads++;
			yield bytes.subarray(0, 3);
			yield bytes.subarray(3);
		},
	};
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<string> {
	let text = '';
	for await (const chunk of stream) text += Buffer.from(chunk).toString();
	return text;
}

test('ContentStore keeps a blob as it passes and reads it from then on, also after a restart', async t => {
	const dir = await makeDir(t);
	const store = await ContentStore.open(dir);
	const registry = source(blob);
	const keeping = store.keeping(registry);
	t.is(await readAll(keeping.blob(descriptor, signal)), 'a layer');
	t.is(await readAll(keeping.blob(descriptor, signal)), 'a layer');
	t.is(registry.reads, 1);
	t.deepEqual(store.usage, {bytes: 7, inodes: 1});
	const again = await ContentStore.open(dir);
	t.true(again.has(descriptor));
	t.is(await readAll(again.read(descriptor)), 'a layer');
});

test('ContentStore keeps nothing of a blob with other bytes, or whose reader stopped', async t => {
	const dir = await makeDir(t);
	const store = await ContentStore.open(dir);
	await readAll(store.keeping(source(Buffer.from('A layer'))).blob(descriptor, signal));
	for await (const _ of store.keeping(source(blob)).blob(descriptor, signal)) break;
	t.deepEqual(await readdir(join(dir, 'content/sha256')), []);
	await t.throwsAsync(store.keep(source(Buffer.from('A layer')), [descriptor], signal), {instanceOf: CorruptError});
	await store.keep(source(blob), [descriptor], signal);
	t.true(store.has(descriptor));
});

test('ContentStore forgets a blob that rotted, naming it', async t => {
	const dir = await makeDir(t);
	const store = await ContentStore.open(dir);
	await store.keep(source(blob), [descriptor], signal);
	await writeFile(path(dir), 'a lexer');
	await t.throwsAsync(readAll(store.read(descriptor)), {instanceOf: CorruptError, message: new RegExp(descriptor.digest)});
	t.false(store.has(descriptor));
	t.deepEqual(await readdir(join(dir, 'content/sha256')), []);
});

test('ContentStore opens without half-written blobs, and a cut one is as good as none', async t => {
	const dir = await makeDir(t);
	const store = await ContentStore.open(dir);
	await writeFile(join(dir, 'content/sha256/new-123'), 'half');
	await store.keep(source(blob), [descriptor], signal);
	await writeFile(path(dir), 'a la');
	const again = await ContentStore.open(dir);
	t.false(again.has(descriptor));
	await again.keep(source(blob), [descriptor], signal);
	t.deepEqual(again.usage, {bytes: 7, inodes: 1});
	t.is(await readAll(again.read(descriptor)), 'a layer');
});

test('ContentStore collects what nobody retains', async t => {
	const store = await ContentStore.open(await makeDir(t));
	await store.keep(source(blob), [descriptor], signal);
	store.retain([descriptor.digest]);
	store.retain([descriptor.digest]);
	store.release([descriptor.digest]);
	await store.collect();
	t.true(store.has(descriptor));
	store.release([descriptor.digest]);
	await store.collect([descriptor.digest]);
	t.false(store.has(descriptor));
	t.deepEqual(store.usage, {bytes: 0, inodes: 0});
});
