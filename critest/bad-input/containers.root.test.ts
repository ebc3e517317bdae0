import {access, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {ContainerConfig, Mount} from '../../proto/cri.js';
import {addImage, toLayer} from '../fixtures/content.js';
import type {TarEntry} from '../fixtures/tar.js';
import {
	createContainer,
	pullBusybox,
	readMessages,
	removePod,
	runContainer,
	runPod,
	statusOf,
	toContainerConfig,
	toPodConfig,
	until,
	type Pod,
} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
const EXITED = 2;
const {INVALID_ARGUMENT} = status;

/** On the node's network, which spares the CNI plugins. */
async function hostPod(name: string): Promise<Pod> {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	return await runPod(daemon, name, await toPodConfig(daemon, name, true));
}
const security = (security_context: object): Partial<ContainerConfig> => ({linux: {security_context}});
const resources = (values: object): Partial<ContainerConfig> => ({linux: {resources: values}});
const mount = (changes: Mount): Partial<ContainerConfig> => ({mounts: [{host_path: '/tmp', container_path: '/x', ...changes}]});

const REFUSED: readonly {readonly what: string; readonly changes: Partial<ContainerConfig>; readonly says: RegExp}[] = [
	{what: 'NUL in command', changes: {command: ['a\0b']}, says: /^command holds a NUL/},
	{what: 'NUL in args', changes: {args: ['a\0b']}, says: /^args holds a NUL/},
	{what: 'NUL in working_dir', changes: {working_dir: '/a\0b'}, says: /^working_dir /},
	{what: 'NUL in the name of a variable', changes: {envs: [{key: 'a\0b', value: Buffer.from('x')}]}, says: /^envs: key /},
	{what: 'NUL in the value of a variable', changes: {envs: [{key: 'a', value: Buffer.from([0])}]}, says: /^envs: the value of a /},
	{what: '"=" in the name of a variable', changes: {envs: [{key: 'a=b', value: Buffer.from('x')}]}, says: /^envs: key "a=b"/},
	{what: 'NUL in log_path', changes: {log_path: 'a\0b'}, says: /^log_path /},
	{what: 'NUL in metadata.name', changes: {metadata: {name: 'a\0b', attempt: 0}}, says: /^metadata\.name is malformed/},
	{what: 'NUL in host_path', changes: mount({host_path: '/a\0b'}), says: /^mounts\[0\].*host_path/},
	{what: 'NUL in container_path', changes: mount({container_path: '/a\0b'}), says: /^mounts\[0\].*container_path/},
	{what: 'NUL in a device path', changes: {devices: [{host_path: '/dev/\0', container_path: ''}]}, says: /^devices\[0\]\.host_path/},
	{what: 'NUL in a masked path', changes: security({masked_paths: ['/a\0b']}), says: /^security_context\.masked_paths/},
	{what: 'NUL in run_as_username', changes: security({run_as_username: 'a\0b'}), says: /^run_as_username/},
	{what: 'NUL in a CDI device', changes: {CDI_devices: [{name: 'a\0b'}]}, says: /^CDI_devices/},
	{what: 'NUL in a capability', changes: security({capabilities: {add_capabilities: ['a\0b']}}), says: /^add_capabilities/},
	{what: 'NUL in a unified key', changes: resources({unified: {'a\0b': '1'}}), says: /^unified key/},
	{what: 'stdin_once without stdin', changes: {stdin_once: true}, says: /^stdin_once is set without stdin/},
	{what: 'a stop signal that does not exist', changes: {stop_signal: 4000 as never}, says: /^stop_signal "4000" is no signal/},
	{what: 'an oom_score_adj of 1001', changes: resources({oom_score_adj: '1001'}), says: /^oom_score_adj 1001/},
	{what: 'an oom_score_adj beyond 32 bits', changes: resources({oom_score_adj: '4294967296'}), says: /^oom_score_adj 4294967296/},
	{what: 'a cpu_period of 1', changes: resources({cpu_period: '1'}), says: /^cpu_period 1/},
	{what: 'a quota without sense', changes: resources({cpu_quota: '5'}), says: /^cpu_quota 5/},
	{what: 'CPUs that are no list', changes: resources({cpuset_cpus: '0-'}), says: /^cpuset_cpus/},
	{
		what: 'a swap limit below the memory limit',
		changes: resources({memory_limit_in_bytes: '99999999', memory_swap_limit_in_bytes: '5'}),
		says: /^memory_swap_limit/,
	},
	{
		what: '300 mounts',
		changes: {mounts: Array.from({length: 300}, (_, index) => ({host_path: '/tmp', container_path: `/m${index}`}))},
		says: /^mounts: 300 are more than/,
	},
	{
		what: '10,000 mounts',
		changes: {mounts: Array.from({length: 10_000}, (_, index) => ({host_path: '/tmp', container_path: `/m${index}`}))},
		says: /^mounts: 10000 are more/,
	},
	{what: 'a path of 5,000 bytes', changes: mount({container_path: `/${'p'.repeat(5000)}`}), says: /^mounts\[0\].*container_path is longer than/},
	{what: 'a working directory of 5,000 bytes', changes: {working_dir: `/${'p'.repeat(5000)}`}, says: /^working_dir is longer than/},
];
for (const {what, changes, says} of REFUSED) {
	test.serial(`a container with ${what} is refused by its field, and leaves nothing`, async t => {
		const {daemon} = running();
		const pod = await hostPod('good');
		await assertRefused(t, INVALID_ARGUMENT, says, createContainer(daemon.cri, pod, {...toContainerConfig('bad', ['true']), ...changes}));
		t.deepEqual((await daemon.cri.call('ListContainers', {})).containers, []);
		t.deepEqual(await readdir(join(daemon.places.rootDir, 'containers')), []);
		await removePod(daemon.cri, pod);
	});
}

test.serial('10,000 variables and 240 mounts are no problem', async t => {
	const {daemon} = running();
	const pod = await hostPod('many');
	const envs = Array.from({length: 10_000}, (_, index) => ({key: `VARIABLE_${index}`, value: Buffer.from(String(index))}));
	const mounts = Array.from({length: 240}, (_, index) => ({host_path: '/tmp', container_path: `/m/${index}`, readonly: true}));
	const id = await runContainer(
		daemon.cri,
		pod,
		toContainerConfig('many', ['sh', '-c', 'env | grep -c ^VARIABLE_; grep -c " /m/" /proc/self/mountinfo'], {envs, mounts}),
	);
	await until(
		'it ends',
		() => statusOf(daemon.cri, id),
		({state}) => state === EXITED,
	);
	t.deepEqual(await readMessages(join(pod.logDirectory, 'many.log')), ['10000', '240']);
	await removePod(daemon.cri, pod);
});

/** @returns the reference of busybox with these entries on top. */
async function pull(name: string, entries: readonly TarEntry[]): Promise<string> {
	const {content, daemon} = running();
	content.tags.set(`test/${name}:1`, addImage(content.blobs, {format: 'oci', layers: [content.base, toLayer(entries, 'gzip')], config: {}}));
	const image = `registry.k8s.io/test/${name}:1`;
	await daemon.cri.image('PullImage', {image: {image}});
	return image;
}

test.serial('what cannot be executed ends with 126 or 127, its name in status, and is removed whole', async t => {
	const {daemon} = running();
	const image = {
		image: await pull('programs', [
			{type: 'file', path: 'no-interpreter', mode: 0o755, content: '#!/no/such/shell\n'},
			{type: 'file', path: 'no-format', mode: 0o755, content: 'neither script nor program\n'},
			{type: 'file', path: 'empty', mode: 0o755, content: ''},
			{type: 'file', path: 'not-executable', mode: 0o644, content: '#!/bin/sh\n'},
			{type: 'symlink', path: 'loop', target: 'loop'},
			{type: 'symlink', path: 'dangling', target: '/not/there'},
		]),
	};
	const pod = await hostPod('programs');
	for (const [program, exitCode] of [
		['/not/there', 127],
		['not-in-path', 127],
		['/dangling', 127],
		['/no-interpreter', 127],
		['/bin', 126],
		['/not-executable', 126],
		['/no-format', 126],
		['/empty', 126],
		['/loop', 126],
		['/bin/busybox/x', 126],
	] as const) {
		const id = await createContainer(daemon.cri, pod, toContainerConfig(program.replaceAll('/', '-'), [program], {image, log_path: ''}));
		const error = await t.throwsAsync<Error>(async () => void (await daemon.cri.call('StartContainer', {container_id: id})), undefined, program);
		t.true(error.message.includes(program), error.message);
		const shown = await statusOf(daemon.cri, id);
		t.like(shown, {state: EXITED, exit_code: exitCode, reason: 'StartError'}, program);
		t.true(shown.message.includes(program));
		await daemon.cri.call('RemoveContainer', {container_id: id});
	}
	const tooLong = [{key: 'LONG', value: Buffer.alloc(200_000, 'x')}];
	const long = await createContainer(daemon.cri, pod, toContainerConfig('long', ['true'], {envs: tooLong}));
	await t.throwsAsync(async () => void (await daemon.cri.call('StartContainer', {container_id: long})), {message: /E2BIG/});
	t.is((await statusOf(daemon.cri, long)).exit_code, 126);
	await removePod(daemon.cri, pod);
});

test.serial('a working directory that is a file, or a mount on what is of another type, is refused by its path', async t => {
	const {daemon} = running();
	const pod = await hostPod('types');
	const refused = async (changes: Partial<ContainerConfig>, says: RegExp): Promise<void> => {
		await assertRefused(t, INVALID_ARGUMENT, says, createContainer(daemon.cri, pod, toContainerConfig('bad', ['true'], changes)));
	};
	await refused({working_dir: '/etc/passwd'}, /^working_dir "\/etc\/passwd" cannot be entered or made: ENOTDIR/);
	await refused(mount({container_path: '/etc/passwd'}), /^mounts: container_path "\/etc\/passwd" .*ENOTDIR/);
	await refused(mount({host_path: '/etc/hosts', container_path: '/bin'}), /^mounts: container_path "\/bin" /);
	await refused(mount({host_path: '/etc/hosts/x'}), /^mounts: host_path "\/etc\/hosts\/x" .*ENOTDIR/);
	await removePod(daemon.cri, pod);
});

test.serial('an image whose directories are links to elsewhere changes nothing outside of it: /proc and /sys are refused, others stay inside', async t => {
	const {daemon} = running();
	const outside = `/berth-outside-${daemon.places.run}`;
	const pod = await hostPod('links');
	const link = async (name: string, target: string): Promise<string> =>
		await pull(`link-${name}-${target.length}`, [
			{type: 'file', path: `.wh.${name}`, content: ''},
			{type: 'symlink', path: name, target},
		]);
	for (const target of [outside, `../../../../..${outside}`]) {
		for (const name of ['proc', 'sys']) {
			const image = {image: await link(name, target)};
			const call = createContainer(daemon.cri, pod, toContainerConfig('bad', ['true'], {image}));
			await assertRefused(t, INVALID_ARGUMENT, new RegExp(`^image: its /${name} is no plain directory`), call);
		}
		for (const name of ['etc', 'dev', 'tmp']) {
			const image = {image: await link(name, target)};
			const config = toContainerConfig(`${name}-${target.length}`, ['/bin/sh', '-c', `echo ran; ls -A ${outside} | head -n 1 | grep -c .`], {
				image,
				working_dir: '/tmp/made',
			});
			const id = await runContainer(daemon.cri, pod, config);
			await until(
				'it ends',
				() => statusOf(daemon.cri, id),
				({state}) => state === EXITED,
			);
			t.deepEqual(await readMessages(join(pod.logDirectory, `${name}-${target.length}.log`)), ['ran', '1'], `${name} → ${target}`);
		}
		await t.throwsAsync(access(outside), {code: 'ENOENT'});
	}
	await removePod(daemon.cri, pod);
});

test.serial('ids that are not mapped in the user namespace of the pod are refused by their field', async t => {
	const {daemon} = running();
	const {
		content,
		daemon: {cri},
	} = running();
	const ids = [{host_id: 1_000_000, container_id: 0, length: 1000}];
	const namespace_options = {network: 2, pid: 1, userns_options: {mode: 0, uids: ids, gids: ids}} as const;
	const linux = {security_context: {namespace_options: namespace_options as never}};
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'mapped', {linux});
	for (const [context, says] of [
		[{run_as_user: {value: '1000'}}, /^run_as_user 1000 is not mapped/],
		[{run_as_user: {value: '1'}, run_as_group: {value: '5000'}}, /^run_as_group 5000 is not mapped/],
		[{supplemental_groups: [1000]}, /^supplemental_groups 1000 is not mapped/],
	] as const)
		await assertRefused(t, INVALID_ARGUMENT, says, createContainer(cri, pod, toContainerConfig('bad', ['true'], security({...context, namespace_options}))));
	content.tags.set('test/unmapped:1', addImage(content.blobs, {format: 'oci', layers: [content.base], config: {User: '5000'}}));
	const image = {image: 'registry.k8s.io/test/unmapped:1'};
	await cri.image('PullImage', {image});
	await assertRefused(
		t,
		INVALID_ARGUMENT,
		/the image names has an id that is not mapped/,
		createContainer(cri, pod, toContainerConfig('bad', ['true'], {image})),
	);
	await removePod(cri, pod);
});
