import {readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {Image__Output} from '../../proto/cri.js';
import {addImage, toDigest, toLayer, type Layer} from '../fixtures/content.js';
import {PROJECT_DIR} from '../fixtures/images.js';
import {run, runOk, type Ended} from '../rig/command.js';
import {assertRefused} from '../rig/refusal.js';
import {removePod, runContainer, runPod, toContainerConfig, until} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);

/** Publishes an image. @returns its reference. */
function publish(name: string, layers: readonly Layer[]): string {
	const {content} = running();
	content.tags.set(`store/${name}:1`, addImage(content.blobs, {format: 'oci', layers, config: {Cmd: ['sh']}}));
	return `registry.k8s.io/store/${name}:1`;
}

function file(path: string, bytes: number | string): Layer {
	return toLayer([{type: 'file', path, content: typeof bytes === 'string' ? bytes : path.repeat(bytes / path.length)}], 'gzip');
}

async function pull(image: string): Promise<string> {
	return (await running().daemon.cri.image('PullImage', {image: {image}})).image_ref;
}

async function find(image: string): Promise<Image__Output | null> {
	return (await running().daemon.cri.image('ImageStatus', {image: {image}})).image;
}

async function remove(image: string): Promise<void> {
	await running().daemon.cri.image('RemoveImage', {image: {image}});
}

/** `berth images …` against the daemon. */
function images(...args: readonly string[]): Promise<Ended> {
	return run([join(PROJECT_DIR, 'bin/berth'), 'images', ...args, '--socket', running().daemon.places.socket]);
}

/** Directory below layers/ of a layer. */
async function layerDir({diffId}: Layer): Promise<string> {
	const dir = join(running().daemon.places.rootDir, 'layers');
	for (const name of await readdir(dir)) {
		const record = await readFile(join(dir, name, 'layer.json'), 'utf8').catch(() => '{}');
		if ((JSON.parse(record) as {diffId?: string}).diffId === diffId) return join(dir, name);
	}
	throw new Error(`no layer ${diffId} on disk`);
}

/** Of layers that somebody asked the registry for. */
function fetched(layers: readonly Layer[]): readonly string[] {
	const asked = running().registry.requests.map(({url}) => url);
	return layers.map(({blob}) => toDigest(blob)).filter(digest => asked.some(url => url.includes(`/blobs/${digest}`)));
}

function forgetRequests(): void {
	(running().registry.requests as unknown[]).length = 0;
}

for (const damage of ['its record is gone', 'its record is cut short', 'all of it is gone'] as const) {
	test.serial(`a layer that is not whole at the start (${damage}) is fetched again, and only it`, async t => {
		const {daemon, content} = running();
		const good = file('good', `good ${damage}`);
		const bad = file('bad', `bad ${damage}`);
		const image = publish('repair', [content.base, good, bad]);
		const id = await pull(image);
		await daemon.stop();
		const dir = await layerDir(bad);
		if (damage === 'all of it is gone') await rm(dir, {recursive: true});
		else if (damage === 'its record is gone') await rm(join(dir, 'layer.json'));
		else await writeFile(join(dir, 'layer.json'), '{"version":1,"di');
		forgetRequests();
		await daemon.start();
		await until(
			'the image is repaired',
			() => find(image),
			found => found !== null,
		);
		t.is((await find(image))?.id, id);
		t.deepEqual(fetched([content.base, good, bad]), [toDigest(bad.blob)]);
		t.is(await readFile(join(await layerDir(bad), 'fs/bad'), 'utf8'), `bad ${damage}`);
		await remove(image);
	});
}

test.serial('an image that cannot be repaired is absent, a pull completes it, and it can be removed', async t => {
	const {daemon, content, registry} = running();
	const bad = file('bad', 'not to be had');
	const image = publish('absent', [content.base, bad]);
	await pull(image);
	await daemon.stop();
	await rm(await layerDir(bad), {recursive: true});
	registry.faults.set(toDigest(bad.blob), {kind: 'status', code: 404});
	await daemon.start();
	t.is(await find(image), null);
	t.false((await daemon.cri.image('ListImages', {})).images.some(({repo_tags: tags}) => tags.includes(image)));
	await t.throwsAsync(pull(image));
	registry.faults.delete(toDigest(bad.blob));
	forgetRequests();
	await pull(image);
	t.deepEqual(fetched([content.base]), [], 'what was whole was kept');
	await daemon.stop();
	await rm(await layerDir(bad), {recursive: true});
	registry.faults.set(toDigest(bad.blob), {kind: 'status', code: 404});
	await daemon.start();
	await remove(image);
	registry.faults.delete(toDigest(bad.blob));
	await daemon.stop();
	await daemon.start();
	t.is(await find(image), null);
	t.deepEqual(
		(await readdir(join(daemon.places.rootDir, 'layers'))).filter(name => name !== 'empty'),
		[],
	);
});

test.serial('a pull in flight shows how far it is, and one that its client gave up leaves nothing', async t => {
	const {daemon, content, registry} = running();
	const layer = file('slow', 200_000);
	const image = publish('slow', [content.base, layer]);
	registry.faults.set(toDigest(layer.blob), {kind: 'hang'});
	const given = assertRefused(t, status.DEADLINE_EXCEEDED, /.*/, daemon.cri.image('PullImage', {image: {image}}, 8000));
	const ask = async (): Promise<any> => {
		const {info} = await daemon.cri.image('ImageStatus', {image: {image}, verbose: true});
		return info['pull'] === undefined ? null : JSON.parse(info['pull']);
	};
	const base = content.base.blob.length;
	const seen = await until('the other layer is here', ask, progress => progress?.fetchedBytes === base);
	t.like(seen, {reference: image, phase: 'fetching', totalBytes: base + layer.blob.length});
	t.deepEqual(
		seen.layers.map(({fetchedBytes}: {fetchedBytes: number}) => fetchedBytes),
		[base, 0],
	);
	const inspected = await images('inspect', image);
	t.is(inspected.exitCode, 0);
	t.is(JSON.parse(inspected.stdout).pull.totalBytes, base + layer.blob.length);
	await given;
	await until('the pull is over', ask, progress => progress === null);
	registry.faults.delete(toDigest(layer.blob));
	await until(
		'no layer is left',
		async () => (await readdir(join(daemon.places.rootDir, 'layers'))).filter(name => name !== 'empty'),
		names => names.length === 0,
	);
	t.is(await find(image), null);
});

test.serial('ImageFsInfo counts what is on the disk, of images and of writable layers', async t => {
	const {daemon, content} = running();
	const image = publish('usage', [content.base, file('big', 3_000_000)]);
	await pull(image);
	const usedBytes = async (): Promise<{readonly images: number; readonly containers: number}> => {
		const reply = await daemon.cri.image('ImageFsInfo', {});
		const bytesOf = (list: typeof reply.image_filesystems): number => Number(list[0]?.used_bytes?.value ?? -1);
		return {images: bytesOf(reply.image_filesystems), containers: bytesOf(reply.container_filesystems)};
	};
	const onDisk = Number((await runOk(['du', '-s', '--block-size=1', join(daemon.places.rootDir, 'layers')])).split('\t')[0]);
	const counted = (await usedBytes()).images;
	t.true(Math.abs(counted - onDisk) < 0.02 * onDisk, `counted ${counted}, on disk ${onDisk}`);
	const pod = await runPod(daemon, 'usage');
	await runContainer(daemon.cri, pod, toContainerConfig('writer', ['sh', '-c', 'dd if=/dev/urandom of=/big bs=1M count=5; sleep 1000'], {image: {image}}));
	await until('the writable layer is counted', usedBytes, ({containers}) => containers >= 5 << 20, 60_000);
	await removePod(daemon.cri, pod);
	await remove(image);
	t.deepEqual(await usedBytes(), {images: 0, containers: 0});
});

test.serial('a saved image is removed and loaded again as the same, in each form', async t => {
	const {daemon, content} = running();
	const image = publish('saved', [content.base, file('saved', 'saved'), toLayer([{type: 'file', path: 'zstd', content: 'zstd'}], 'zstd')]);
	const id = await pull(image);
	for (const format of ['oci-archive', 'oci-dir', 'docker-archive']) {
		const path = join(daemon.places.scratchDir, `saved-${format}`);
		const saved = await images('save', '--format', format, path, image);
		t.is(saved.exitCode, 0, saved.stderr);
		await remove(image);
		t.is(await find(image), null);
		const loaded = await images('load', path);
		t.is(loaded.exitCode, 0, loaded.stderr);
		t.is(loaded.stdout, `${id} ${image}\n`, format);
		t.is((await find(image))?.id, id);
		// What was loaded is kept: this needs no registry.
		forgetRequests();
		const again = await images('save', '--format', 'oci-archive', `${path}.again`, image);
		t.is(again.exitCode, 0, again.stderr);
		t.deepEqual(running().registry.requests, []);
		await rm(`${path}.again`);
		await rm(path, {recursive: true});
	}
	const missing = await images('save', join(daemon.places.scratchDir, 'none'), 'registry.k8s.io/not/there:1');
	t.is(missing.exitCode, 1);
	t.regex(missing.stderr, /not\/there:1.*not found/);
	await remove(image);
});

test.serial('setuid programs of images cannot be run by users of the machine from where layers lie', async t => {
	const {daemon} = running();
	for (const name of ['layers', 'containers']) t.is((await stat(join(daemon.places.rootDir, name))).mode & 0o777, 0o700);
});

test.serial('tag, list, prune', async t => {
	const {daemon, content} = running();
	const image = publish('tagged', [content.base, file('tagged', 'tagged')]);
	const other = publish('other', [content.base, file('other', 'other')]);
	const id = await pull(image);
	await pull(other);
	t.is((await images('tag', image, 'example.com/mine:2')).exitCode, 0);
	t.is((await find('example.com/mine:2'))?.id, id);
	t.is((await images('tag', other, 'example.com/mine:2')).exitCode, 0);
	t.deepEqual((await find(image))?.repo_tags, [image], 'a tag is of one image only');
	t.regex((await images('tag', image, 'example.com/mine@sha256:00')).stderr, /sha256/);
	t.regex((await images('list')).stdout, /example\.com\/mine:2/);
	const listed = JSON.parse((await images('list', '--output', 'json')).stdout) as readonly Image__Output[];
	t.deepEqual(listed.map(entry => entry.id).sort(), [id, (await find(other))?.id ?? ''].sort());
	const pod = await runPod(daemon, 'prune');
	await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000'], {image: {image}}));
	t.regex((await images('prune')).stdout, /^0 removed/m, 'nothing is untagged');
	t.regex((await images('prune', '--all')).stdout, /^1 removed, [\d.]+ [kM]?B freed$/m);
	t.is(await find(other), null);
	t.is((await find(image))?.id, id, 'in use');
	await removePod(daemon.cri, pod);
	await remove(image);
});

test.serial('a container sees lower directories as their own layer says, and nothing below a layer that hides all', async t => {
	const {daemon, content} = running();
	const hidden = file('hidden', 'hidden');
	const opaque = toLayer(
		[
			{type: 'file', path: '.wh..wh..opq', content: ''},
			{type: 'file', path: 'seen', content: ''},
		],
		'gzip',
	);
	const drop = toLayer(
		[
			{type: 'directory', path: './', mode: 0o711, uid: 0, gid: 5},
			{type: 'directory', path: 'drop/', mode: 0o1777, uid: 12, gid: 34},
		],
		'gzip',
	);
	// No entry for drop/ itself, as build tools that list only files leave it.
	const image = publish('parents', [hidden, opaque, content.base, drop, file('drop/file', 'file')]);
	await pull(image);
	const pod = await runPod(daemon, 'parents');
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000'], {image: {image}}));
	const {stdout} = await daemon.cri.call('ExecSync', {container_id: id, cmd: ['sh', '-c', 'stat -c "%a %u:%g" / /drop; ls /drop /seen /hidden 2>&1']});
	t.is(Buffer.from(stdout).toString(), '711 0:5\n1777 12:34\nls: /hidden: No such file or directory\n/seen\n\n/drop:\nfile\n');
	await removePod(daemon.cri, pod);
	await remove(image);
});
