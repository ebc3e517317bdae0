import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {Mount} from '../../proto/cri.js';
import {addImage, toLayer} from '../fixtures/content.js';
import {createContainer, statusOf, toContainerConfig} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {MODE, podLinux, says, toFacts, useFields, type FieldRig} from './rig.js';

const fields = useFields(test);
const NAME = 'registry.k8s.io/test/data:1';

/** An image of two layers, the upper of which replaces and hides something of the lower. */
async function pullData(rig: FieldRig): Promise<{readonly ref: string; readonly digest: string}> {
	const lower = toLayer(
		[
			{type: 'directory', path: 'dir/'},
			{type: 'file', path: 'dir/file', content: 'lower\n'},
			{type: 'file', path: 'gone', content: 'x\n'},
			{type: 'file', path: 'run', mode: 0o755, content: '#!/bin/sh\necho ran\n'},
			{type: 'symlink', path: 'escape', target: '/../../../../etc'},
			{type: 'symlink', path: 'inside', target: '/dir'},
		],
		'gzip',
	);
	const upper = toLayer(
		[
			{type: 'file', path: 'dir/file', content: 'upper\n'},
			{type: 'file', path: '.wh.gone', content: ''},
		],
		'gzip',
	);
	const {content} = rig.running;
	content.tags.set('test/data:1', addImage(content.blobs, {format: 'oci', layers: [lower, upper], config: {}}));
	const {image_ref: ref} = await rig.cri.image('PullImage', {image: {image: NAME}});
	const {image} = await rig.cri.image('ImageStatus', {image: {image: ref}});
	return {ref, digest: image?.repo_digests[0] ?? ''};
}

fields('an image as a volume: whole, a directory and a file of it, read-only, with options, its links kept inside; the digest in status', async (t, rig) => {
	const {ref, digest} = await pullData(rig);
	const at = (container_path: string, image_sub_path = '', more: Mount = {}): Mount => ({image: {image: ref}, container_path, image_sub_path, ...more});
	const mounts = [
		at('/whole'),
		at('/part', 'dir'),
		at('/etc/one', 'dir/file'),
		at('/linked', 'inside'),
		at('/noexec', '', {mount_options: ['noexec', 'nosuid', 'nodev']}),
	];
	const pod = await rig.pod('image');
	const id = await rig.start(pod, {mounts});
	const script = [
		'echo whole=$(cat /whole/dir/file)',
		'echo part=$(cat /part/file)',
		'echo one=$(cat /etc/one)',
		'echo linked=$(cat /linked/file)',
		says('gone', 'test -e /whole/gone'),
		says('write', 'touch /whole/x'),
		says('remount', 'mount -o remount,rw /whole'),
		says('write_part', 'touch /part/x'),
		'echo exec=$(/whole/run)',
		says('noexec', '/noexec/run'),
		'echo options=$(grep " /noexec " /proc/self/mountinfo | cut -d" " -f6)',
	].join('\n');
	t.like(toFacts(await rig.exec(id, script)), {
		whole: 'upper',
		part: 'upper',
		one: 'upper',
		linked: 'upper',
		gone: 'no',
		write: 'no',
		remount: 'no',
		write_part: 'no',
		exec: 'ran',
		noexec: 'no',
		options: 'ro,nosuid,nodev,noexec,relatime',
	});
	const shown = await statusOf(rig.cri, id);
	t.like(shown.mounts[1], {container_path: '/part', host_path: '', readonly: true, image: {image: ref, image_ref: digest}, image_sub_path: 'dir'} as never);
	t.regex(digest, /^registry\.k8s\.io\/test\/data@sha256:[0-9a-f]{64}$/);
	await rig.remove(pod);
});

fields('a mounted image stays while its container does, though it is removed, and though the daemon is killed', async (t, rig) => {
	const {ref} = await pullData(rig);
	const pod = await rig.pod('kept');
	const id = await rig.start(pod, {mounts: [{image: {image: NAME}, container_path: '/whole'}]});
	await rig.cri.image('RemoveImage', {image: {image: ref}});
	t.is((await rig.cri.image('ImageStatus', {image: {image: ref}})).image, null);
	t.deepEqual(await rig.exec(id, 'cat /whole/dir/file'), ['upper']);
	await rig.daemon.kill();
	await rig.daemon.start();
	t.deepEqual(await rig.exec(id, 'cat /whole/dir/file'), ['upper']);
	await rig.remove(pod);
});

fields("in a user namespace the image's files have the ids of the image", async (t, rig) => {
	const {ref} = await pullData(rig);
	const ids = [{container_id: 0, host_id: 1_000_000, length: 65_536}];
	const userns_options = {mode: MODE.POD, uids: ids, gids: ids};
	const pod = await rig.pod('mapped', podLinux({namespace_options: {pid: MODE.CONTAINER, userns_options}}));
	const mounts: Mount[] = [
		{image: {image: ref}, container_path: '/whole'},
		{image: {image: ref}, container_path: '/again', image_sub_path: 'dir'},
	];
	const script = ['stat -c %u:%g /whole /whole/dir/file /again', says('write', 'touch /whole/x'), says('remount', 'mount -o remount,rw /whole')].join('\n');
	t.deepEqual(await rig.run(pod, script, {mounts}), ['0:0', '0:0', '0:0', 'write=no', 'remount=no']);
	await rig.remove(pod);
});

fields('an image that cannot be mounted is refused, by the word that the kubelet knows or by its field, and leaves nothing', async (t, rig) => {
	const {ref} = await pullData(rig);
	const pod = await rig.pod('refused');
	const refused = async (mount: Mount, code: number, says_: RegExp): Promise<void> =>
		await assertRefused(t, code, says_, createContainer(rig.cri, pod, toContainerConfig('bad', ['true'], {mounts: [mount]})));
	const image = {image: ref};
	await refused(
		{image: {image: 'registry.k8s.io/never:1'}, container_path: '/x'},
		status.UNKNOWN,
		/^ImageVolumeMountFailed: mounts\[0\]\.image: image "registry/,
	);
	await refused({image, container_path: '/x', image_sub_path: 'not/there'}, status.UNKNOWN, /^ImageVolumeMountFailed: .*image_sub_path.*not\/there/);
	await refused({image, container_path: '/x', image_sub_path: 'escape'}, status.UNKNOWN, /^ImageVolumeMountFailed: /);
	await refused({image, container_path: '/x', image_sub_path: 'gone'}, status.UNKNOWN, /^ImageVolumeMountFailed: /);
	await refused({image, container_path: '/x', image_sub_path: '../up'}, status.INVALID_ARGUMENT, /mounts\[0\]\.image_sub_path/);
	await refused({image, container_path: '/x', host_path: '/tmp'}, status.INVALID_ARGUMENT, /mounts\[0\]\.host_path/);
	await refused({image, container_path: '/x', propagation: 1}, status.INVALID_ARGUMENT, /mounts\[0\]\.propagation/);
	await refused({host_path: '/tmp', container_path: '/x', image_sub_path: 'dir'}, status.INVALID_ARGUMENT, /mounts\[0\]\.image_sub_path: is only for an image/);
	await rig.remove(pod);
});
