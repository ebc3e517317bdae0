import {chown, mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {ContainerConfig, Mount, NamespaceMode, PodSandboxConfig} from '../proto/cri.js';
import type {Daemon} from './rig/daemon.js';
import {createContainer, pullBusybox, readMessages, removePod, runContainer, runPod, statusOf, toContainerConfig, until, type Pod} from './rig/pods.js';
import {assertRefused} from './rig/refusal.js';
import {useDaemon} from './rig/use-daemon.js';

const running = useDaemon(test);
/** CRI v1. */
const MODE = {POD: 0, CONTAINER: 1, NODE: 2} as const;
const EXITED = 2;
const FIRST_UID = 1_000_000;
const FIRST_GID = 2_000_000;
const IDS = 65_536;
const userns_options = {
	mode: MODE.POD,
	uids: [{host_id: FIRST_UID, container_id: 0, length: IDS}],
	gids: [{host_id: FIRST_GID, container_id: 0, length: IDS}],
};
const mappings = {uidMappings: userns_options.uids, gidMappings: userns_options.gids};

const inUserNamespace = (changes: object = {}, sysctls: Record<string, string> = {}): Partial<PodSandboxConfig> => ({
	linux: {sysctls, security_context: {namespace_options: {network: MODE.POD, pid: MODE.CONTAINER as NamespaceMode, userns_options, ...changes}}},
});

async function execute(daemon: Daemon, container_id: string, script: string): Promise<readonly string[]> {
	const {stdout, stderr, exit_code} = await daemon.cri.call('ExecSync', {container_id, cmd: ['sh', '-c', script]});
	if (exit_code !== 0) throw new Error(`exit code ${exit_code}: ${Buffer.from(stderr).toString()}`);
	return Buffer.from(stdout)
		.toString()
		.trimEnd()
		.split('\n')
		.map(line => line.trim().replaceAll(/\s+/g, ' '));
}

async function messagesOf(daemon: Daemon, pod: Pod, config: ContainerConfig): Promise<readonly string[]> {
	const id = await runContainer(daemon.cri, pod, config);
	await until(
		'the container ends',
		() => statusOf(daemon.cri, id),
		({state}) => state === EXITED,
	);
	return await readMessages(join(pod.logDirectory, config.log_path ?? ''));
}

test.serial('Status announces user namespaces, says why, and the trial left nothing', async t => {
	const {daemon} = running();
	const reply = await daemon.cri.call('Status', {verbose: true});
	t.true(reply.runtime_handlers.find(({name}) => name === '')?.features?.user_namespaces);
	t.true(reply.features?.user_namespaces_host_network);
	const {features} = JSON.parse(reply.info['snapshotter'] ?? '') as {readonly features: readonly object[]};
	t.deepEqual(features.at(-1), {name: 'id-mapped layers', used: true, reason: 'layers and volumes are id-mapped'});
	t.false((await readdir(daemon.places.rootDir)).includes('probe'));
	t.deepEqual(await readdir(join(daemon.places.runDir, 'pods')), []);
});

test.serial('a pod in a user namespace: ids, volumes, its files, exec; also after the daemon was killed', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const layerFiles = async (): Promise<readonly number[]> => {
		const layers = join(daemon.places.rootDir, 'layers');
		const found = await Promise.all((await readdir(layers)).map(async name => await stat(join(layers, name, 'fs/bin/busybox')).catch(() => null)));
		return found.filter(file => file !== null).flatMap(({uid, gid, ctimeMs}) => [uid, gid, ctimeMs]);
	};
	const before = await layerFiles();
	t.true(before.length > 0);
	const volume = join(daemon.places.scratchDir, 'volume');
	await mkdir(volume);
	await writeFile(join(volume, 'theirs'), 'x');
	await chown(join(volume, 'theirs'), 1000, 1001);
	const mounts: Mount[] = [
		{host_path: volume, container_path: '/volume', ...mappings},
		{host_path: join(volume, 'theirs'), container_path: '/file', ...mappings},
	];
	const pod = await runPod(daemon, 'mapped', inUserNamespace({}, {'net.ipv4.ip_unprivileged_port_start': '7'}));
	const {status: shown} = await cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.like(shown?.linux?.namespaces?.options?.userns_options, userns_options as never);
	const script =
		'tail -n 1 /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /volume /volume/theirs /file /etc/hosts /bin/busybox /; touch /volume/ours; echo 127.0.0.1 me >> /etc/hosts && echo hosts; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; sleep 1000';
	const security_context = {namespace_options: {network: MODE.POD, pid: MODE.CONTAINER as NamespaceMode, userns_options}, seccomp: {profile_type: 0}} as const;
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sh', '-c', script], {mounts, linux: {security_context}, stop_signal: 9}));
	const lines = await until(
		'it wrote all',
		() => readMessages(join(pod.logDirectory, 'c.log')),
		all => all.at(-1) === '7',
	);
	t.deepEqual(
		lines.map(line => line.trim().replaceAll(/\s+/g, ' ')).filter(line => line !== '' && !line.startsWith('==>')),
		[`0 ${FIRST_UID} ${IDS}`, `0 ${FIRST_GID} ${IDS}`, '0:0', '1000:1001', '1000:1001', '0:0', '0:0', '0:0', 'hosts', '7'],
	);
	t.is((await stat(join(volume, 'ours'))).uid, 0);
	const container = await statusOf(cri, id);
	t.deepEqual(container.mounts[0]?.uidMappings, userns_options.uids);
	t.is(Number(container.user?.linux?.uid), 0);
	const {info} = await cri.call('ContainerStatus', {container_id: id, verbose: true});
	const {pid} = JSON.parse(info['info'] ?? '') as {readonly pid: number};
	t.regex(await readFile(`/proc/${pid}/status`, 'utf8'), new RegExp(`^Uid:\\t${FIRST_UID}\\t`, 'm'));

	await daemon.kill();
	await daemon.start();
	const namespace = ['readlink /proc/self/ns/user; tail -n 1 /proc/self/uid_map'] as const;
	const [first, map] = await execute(daemon, id, namespace[0]);
	t.is(map, `0 ${FIRST_UID} ${IDS}`);
	const later = await messagesOf(daemon, pod, toContainerConfig('later', ['sh', '-c', 'readlink /proc/self/ns/user; touch /mine; stat -c %u:%g /mine']));
	t.deepEqual(later, [first ?? '', '0:0']);
	const plain = await runPod(daemon, 'plain');
	t.deepEqual(await messagesOf(daemon, plain, toContainerConfig('p', ['stat', '-c', '%u:%g', '/bin/busybox', '/'])), ['0:0', '0:0']);
	t.deepEqual(await layerFiles(), before, 'no file of a layer was touched');
	await removePod(cri, plain);
	await removePod(cri, pod);
});

test.serial("on the node's network and IPC, and with one PID namespace for the pod", async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const hostNetwork = await runPod(daemon, 'host', inUserNamespace({network: MODE.NODE, ipc: MODE.NODE}));
	const security_context = {
		namespace_options: {network: MODE.NODE as NamespaceMode, ipc: MODE.NODE as NamespaceMode, pid: MODE.CONTAINER as NamespaceMode, userns_options},
	};
	const script = 'tail -n 1 /proc/self/uid_map; ip link set lo down 2>/dev/null || echo no; readlink /proc/self/ns/net';
	const lines = await messagesOf(daemon, hostNetwork, toContainerConfig('c', ['sh', '-c', script], {linux: {security_context}}));
	const node = await execute(
		daemon,
		await runContainer(daemon.cri, hostNetwork, toContainerConfig('d', ['sleep', '1000'], {stop_signal: 9})),
		'readlink /proc/self/ns/net',
	);
	t.deepEqual([lines[0]?.trim().replaceAll(/\s+/g, ' '), ...lines.slice(1)], [`0 ${FIRST_UID} ${IDS}`, 'no', ...node]);
	await removePod(daemon.cri, hostNetwork);
	const shared = await runPod(daemon, 'shared', inUserNamespace({pid: MODE.POD}));
	const id = await runContainer(daemon.cri, shared, toContainerConfig('c', ['sleep', '1000'], {stop_signal: 9}));
	t.deepEqual(await execute(daemon, id, 'stat -c %u /proc/1; ps | grep -c "[s]leep 1000"; id -u'), ['65534', '1', '0']);
	await removePod(daemon.cri, shared);
});

test.serial("a privileged container in a user namespace has the node's devices with the node's owner, and changes nothing of the node", async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const {linux} = inUserNamespace();
	const pod = await runPod(daemon, 'privileged', {linux: {...linux, security_context: {...linux?.security_context, privileged: true}}});
	const script =
		'stat -c %u /dev/null /dev/kmsg; echo x 2>/dev/null > /dev/kmsg && echo kmsg; chmod 666 /dev/kmsg 2>/dev/null && echo chmod; mkdir /sys/fs/cgroup/pids/x /sys/fs/cgroup/x 2>/dev/null && echo cgroup; cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness && echo sysctl; mount -t tmpfs none /tmp && echo own; exit 0';
	const lines = await messagesOf(daemon, pod, toContainerConfig('c', ['sh', '-c', script], {linux: {security_context: {privileged: true}}}));
	t.deepEqual(
		lines.filter(line => !line.startsWith('sh: ')),
		['0', '65534', 'own'],
	);
	await removePod(daemon.cri, pod);
});

test.serial('what cannot be is refused by its field, and leaves nothing', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const two = {...userns_options, uids: [...userns_options.uids, ...userns_options.uids]};
	await assertRefused(t, status.INVALID_ARGUMENT, /userns_options\.uids: exactly one/, runPod(daemon, 'bad', inUserNamespace({userns_options: two})));
	const pod = await runPod(daemon, 'good', inUserNamespace());
	for (const [changes, code, says] of [
		[{mounts: [{host_path: '/proc/sys', container_path: '/x', ...mappings}]}, status.UNIMPLEMENTED, /host_path "\/proc\/sys" has no id-mapped mounts/],
		[{mounts: [{host_path: '/tmp', container_path: '/x', ...mappings, gidMappings: []}]}, status.INVALID_ARGUMENT, /mounts\[0\]\.gidMappings: is empty/],
		[{linux: {security_context: {run_as_user: {value: String(IDS)}}}}, status.INVALID_ARGUMENT, /run_as_user 65536 is not mapped/],
		[{linux: {security_context: {namespace_options: {userns_options: {mode: MODE.NODE}, pid: 1}}}}, status.INVALID_ARGUMENT, /userns_options: not those/],
	] as const) {
		await assertRefused(t, code, says, createContainer(cri, pod, toContainerConfig('bad', ['true'], changes as never)));
	}
	await removePod(cri, pod);
});
