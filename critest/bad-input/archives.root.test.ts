import {randomBytes} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import {status} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import {addImage, toDigest, toLayer, type Layer} from '../fixtures/content.js';
import {toTar} from '../fixtures/tar.js';
import {runOk} from '../rig/command.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon, type Running} from '../rig/use-daemon.js';

/** Archives that no honest builder makes, on a disk that is soon full. Containment is in images.root.test.ts, every form of entry in native/unpack-*.root.test.ts. */
const LIMIT_BYTES = 16 << 20;
const running = useDaemon(test, {image: `max_layer_bytes = ${LIMIT_BYTES}\nmax_layer_inodes = 2000`, rootDirMiB: 24});

/** Publishes an image of these layers. @returns its reference. */
function publish({content}: Running, name: string, ...layers: readonly Layer[]): string {
	content.tags.set(`hostile/${name}:1`, addImage(content.blobs, {format: 'oci', layers, config: {Cmd: ['/x']}}));
	return `registry.k8s.io/hostile/${name}:1`;
}

function pull({daemon}: Running, image: string): Promise<unknown> {
	return daemon.cri.image('PullImage', {image: {image}}, 120_000);
}

function toArchiveLayer(archive: Buffer): Layer {
	return {blob: gzipSync(archive), compression: 'gzip', diffId: toDigest(archive)};
}

/** A file whose extended header (pax(1)) gives it this path. */
function withPaxPath(path: Buffer): Layer {
	const rest = Buffer.concat([Buffer.from(' path='), path, Buffer.from('\n')]);
	let length = rest.length + 1;
	while (rest.length + String(length).length !== length) length = rest.length + String(length).length;
	const header = toTar([{type: 'file', path: 'pax', content: Buffer.concat([Buffer.from(String(length)), rest])}]).subarray(0, -1024);
	// From '0' to 'x', and the checksum by as much.
	header[156] = 'x'.charCodeAt(0);
	const sum = Number.parseInt(header.toString('latin1', 148, 154), 8) + 'x'.charCodeAt(0) - '0'.charCodeAt(0);
	header.write(sum.toString(8).padStart(6, '0'), 148, 'latin1');
	return toArchiveLayer(Buffer.concat([header, toTar([{type: 'file', path: 'f', content: 'x'}])]));
}

/** What there is of images on disk: names, not contents. */
async function stored({daemon}: Running): Promise<string> {
	return await runOk(['find', daemon.places.rootDir, '-mindepth', '1', '(', '-path', '*/layers/*', '-o', '-path', '*/images/*', ')', '-printf', '%P\\n']);
}

/** The pull fails like this, leaves nothing, and the next one works. */
async function assertHarmless(t: ExecutionContext, expected: {readonly code: status; readonly message: RegExp}, image: string): Promise<void> {
	const {daemon} = running();
	const before = await stored(running());
	await assertRefused(t, expected.code, expected.message, pull(running(), image));
	t.is((await daemon.cri.image('ImageStatus', {image: {image}})).image, null);
	t.is(await stored(running()), before);
	const good = publish(running(), 'good', toLayer([{type: 'file', path: 'f', content: randomBytes(100_000)}], 'gzip'));
	await pull(running(), good);
	t.not((await daemon.cri.image('ImageStatus', {image: {image: good}})).image, null);
	t.not(await stored(running()), before);
	await daemon.cri.image('RemoveImage', {image: {image: good}});
	t.is(await stored(running()), before);
}

test.serial('a tar bomb stops at max_layer_bytes', async t => {
	const layer = toLayer([{type: 'file', path: 'bomb', content: Buffer.alloc(LIMIT_BYTES + 1)}], 'gzip');
	t.true(layer.blob.length < 20_000);
	await assertHarmless(t, {code: status.RESOURCE_EXHAUSTED, message: /bomb.*more than 16777216 bytes/}, publish(running(), 'bomb', layer));
	// Half a limit per file: no single entry is too large.
	const half = Buffer.alloc(LIMIT_BYTES / 2);
	const files = ['a', 'b', 'c'].map(path => ({type: 'file', path, content: half}) as const);
	await assertHarmless(t, {code: status.RESOURCE_EXHAUSTED, message: /more than 16777216 bytes/}, publish(running(), 'bombs', toLayer(files, 'zstd')));
});

test.serial('a layer of too many entries stops at max_layer_inodes', async t => {
	const entries = Array.from({length: 2100}, (_, i) => ({type: 'file', path: `f${i}`, content: ''}) as const);
	await assertHarmless(t, {code: status.RESOURCE_EXHAUSTED, message: /more than 2000/}, publish(running(), 'entries', toLayer(entries, 'gzip')));
});

test.serial('a name with a NUL byte is refused, and the message shows it', async t => {
	await assertHarmless(
		t,
		{code: status.DATA_LOSS, message: /"etc\/passwd\\x00\.txt".*NUL/},
		publish(running(), 'nul', withPaxPath(Buffer.from('etc/passwd\0.txt'))),
	);
});

test.serial('5,000 levels are refused', async t => {
	await assertHarmless(
		t,
		{code: status.DATA_LOSS, message: /256 directories deep/},
		publish(running(), 'levels', withPaxPath(Buffer.from(`${'d/'.repeat(5000)}f`))),
	);
});

test.serial('of duplicate entries the last one counts, whatever their types', async t => {
	const {daemon} = running();
	const before = await stored(running());
	const layer = toLayer(
		[
			{type: 'directory', path: 'x'},
			{type: 'file', path: 'x/below', content: 'x'},
			{type: 'symlink', path: 'x', target: '/'},
			{type: 'file', path: 'x', content: '1'},
			{type: 'directory', path: 'x'},
			{type: 'file', path: 'x/last', content: '2'},
			{type: 'file', path: 'x/last', content: '3'},
		],
		'gzip',
	);
	const image = publish(running(), 'duplicates', layer);
	await pull(running(), image);
	const names = await runOk(['find', daemon.places.rootDir, '-path', '*/fs/x*', '-type', 'f', '-size', '1c', '-printf', '%f\n']);
	t.is(names, 'last\n');
	await daemon.cri.image('RemoveImage', {image: {image}});
	t.is(await stored(running()), before);
});

test.serial('a disk that is full in the middle fails the pull and is empty again', async t => {
	const layers = Array.from({length: 3}, () => toLayer([{type: 'file', path: 'large', content: randomBytes(LIMIT_BYTES - 10_000)}], 'none'));
	await assertHarmless(t, {code: status.RESOURCE_EXHAUSTED, message: /entry "large": no space left/}, publish(running(), 'full', ...layers));
});
