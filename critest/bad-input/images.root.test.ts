import {stat} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import {addImage, toDigest, toLayer, type Layer} from '../fixtures/content.js';
import type {TarEntry} from '../fixtures/tar.js';
import {assertRefused} from '../rig/refusal.js';
import {removePod, runContainer, runPod, toContainerConfig} from '../rig/pods.js';
import {useDaemon, type Running} from '../rig/use-daemon.js';

const running = useDaemon(test);

/** Publishes an image of one layer. @returns its reference. */
function publish({content}: Running, name: string, layer: Layer): string {
	const index = addImage(content.blobs, {format: 'oci', layers: [layer], config: {Cmd: ['/x']}});
	content.tags.set(`hostile/${name}:1`, index);
	return `registry.k8s.io/hostile/${name}:1`;
}

function pull({daemon}: Running, image: string): Promise<unknown> {
	return daemon.cri.image('PullImage', {image: {image}}, 120_000);
}

/** No image, and no file of it, is there after a refused pull. */
async function assertAbsent(t: ExecutionContext, {daemon}: Running, image: string): Promise<void> {
	t.is((await daemon.cri.image('ImageStatus', {image: {image}})).image, null);
}

test.serial('an image that the registry has not is not found, by its name', async t => {
	const image = 'registry.k8s.io/no/such-image:9';
	await assertRefused(t, status.NOT_FOUND, /no\/such-image:9/, pull(running(), image));
	await assertAbsent(t, running(), image);
});

for (const image of ['registry.k8s.io/UPPER:1', 'registry.k8s.io/x@sha256:123', 'registry.k8s.io/x:-bad', '']) {
	test.serial(`the reference "${image}" is refused as malformed`, async t => {
		await assertRefused(t, status.INVALID_ARGUMENT, /reference|image/, pull(running(), image));
	});
}

test.serial('a layer with other bytes than its digest says is refused, and pulled whole once the registry is well', async t => {
	const {registry, daemon} = running();
	const layer = toLayer([{type: 'file', path: 'x', content: 'corrupt me'}], 'gzip');
	const image = publish(running(), 'corrupt', layer);
	const digest = toDigest(layer.blob);
	registry.faults.set(digest, {kind: 'corrupt'});
	await assertRefused(t, status.DATA_LOSS, new RegExp(digest), pull(running(), image));
	await assertAbsent(t, running(), image);
	registry.faults.delete(digest);
	await pull(running(), image);
	await daemon.cri.image('RemoveImage', {image: {image}});
});

test.serial('a download that breaks off again and again is an error that names the blob', async t => {
	const {registry} = running();
	const layer = toLayer([{type: 'file', path: 'x', content: 'z'.repeat(100_000)}], 'none');
	const image = publish(running(), 'cut', layer);
	const digest = toDigest(layer.blob);
	registry.faults.set(digest, {kind: 'cut', afterBytes: 5000});
	await t.throwsAsync(pull(running(), image), {message: new RegExp(digest)});
	await assertAbsent(t, running(), image);
	registry.faults.delete(digest);
});

test.serial('a layer whose archive is cut short is refused, though its digest is right', async t => {
	const whole = toLayer([{type: 'file', path: 'x', content: 'z'.repeat(100_000)}], 'gzip');
	const image = publish(running(), 'truncated', {...whole, blob: whole.blob.subarray(0, whole.blob.length - 20)});
	await assertRefused(t, status.DATA_LOSS, /sha256:[0-9a-f]{64}/, pull(running(), image));
	await assertAbsent(t, running(), image);
});

test.serial('a layer that unpacks to something else than the config says is refused', async t => {
	const layer = {...toLayer([{type: 'file', path: 'x', content: '1'}], 'gzip'), diffId: `sha256:${'0'.repeat(64)}`};
	const image = publish(running(), 'diff-id', layer);
	await assertRefused(t, status.DATA_LOSS, /diff/i, pull(running(), image));
	await assertAbsent(t, running(), image);
});

/** What a pull of a hostile archive may do: be refused, or keep everything inside the layer. Never touch `victim`. */
async function assertContained(t: ExecutionContext, name: string, toEntries: (victim: string) => readonly TarEntry[]): Promise<void> {
	const {daemon} = running();
	// Directly below the temporary directory: a path in a tar header has 100 bytes.
	const victim = join(daemon.places.scratchDir, `v-${name}`);
	const image = publish(running(), name, toLayer(toEntries(victim), 'gzip'));
	const error: Error | null = await pull(running(), image).then(
		() => null,
		(failed: Error) => failed,
	);
	await t.throwsAsync(stat(victim), {code: 'ENOENT'}, 'a file outside of the layer was made');
	if (error === null) await daemon.cri.image('RemoveImage', {image: {image}});
	else await assertAbsent(t, running(), image);
	t.pass();
}

test.serial('an entry with ../ does not leave the layer', async t => {
	await assertContained(t, 'dotdot', victim => [{type: 'file', path: `${'../'.repeat(12)}${victim.slice(1)}`, content: 'escaped'}]);
});

test.serial('an absolute path does not leave the layer', async t => {
	await assertContained(t, 'absolute', victim => [{type: 'file', path: victim, content: 'escaped'}]);
});

test.serial('a file below an absolute symbolic link does not leave the layer', async t => {
	await assertContained(t, 'symlink', victim => [
		{type: 'symlink', path: 'out', target: join(victim, '..')},
		{type: 'file', path: `out/${victim.slice(victim.lastIndexOf('/') + 1)}`, content: 'escaped'},
	]);
});

test.serial('a file below a symbolic link of ../ does not leave the layer', async t => {
	await assertContained(t, 'relative', victim => [
		{type: 'symlink', path: 'out', target: `${'../'.repeat(20)}${join(victim, '..').slice(1)}`},
		{type: 'file', path: `out/${victim.slice(victim.lastIndexOf('/') + 1)}`, content: 'escaped'},
	]);
});

test.serial('a hard link to a file of the host is not made', async t => {
	const {daemon} = running();
	const image = publish(running(), 'hardlink', toLayer([{type: 'hardlink', path: 'shadow', target: '../../../../../../../../etc/shadow'}], 'gzip'));
	await t.throwsAsync(pull(running(), image), {message: /shadow/});
	await assertAbsent(t, running(), image);
	t.is((await stat('/etc/shadow')).nlink, 1);
	t.deepEqual(
		(await daemon.cri.image('ListImages', {})).images.filter(({repo_tags: tags}) => tags.includes(image)),
		[],
	);
});

test.serial('a device node in a layer gives no access to the device', async t => {
	const {daemon, content} = running();
	const {dev} = await stat(daemon.places.baseDir);
	// The disk that the test itself lies on (makedev(3), glibc's encoding).
	const major = (dev >> 8) & 0xfff;
	const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
	const node = toLayer([{type: 'block', path: 'disk', major, minor, mode: 0o666}], 'gzip');
	content.tags.set('hostile/device:1', addImage(content.blobs, {format: 'oci', layers: [content.base, node], config: {}}));
	const image = 'registry.k8s.io/hostile/device:1';
	await pull(running(), image);
	const pod = await runPod(daemon, 'device');
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000'], {image: {image}}));
	const answer = await daemon.cri.call('ExecSync', {container_id: id, cmd: ['dd', 'if=/disk', 'of=/dev/null', 'bs=512', 'count=1']});
	t.not(answer.exit_code, 0);
	t.regex(Buffer.from(answer.stderr).toString(), /\/disk.*Operation not permitted/);
	await removePod(daemon.cri, pod);
	await daemon.cri.image('RemoveImage', {image: {image}});
});
