import {status} from '@grpc/grpc-js';
import {readlink} from 'node:fs/promises';
import test from 'ava';
import {createContainer, toContainerConfig} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {MODE, podLinux, toFacts, useFields, withSecurity, type FieldRig} from './rig.js';

const fields = useFields(test);
const WHERE = 'for at in net pid ipc uts mnt cgroup user; do echo $at=$(readlink /proc/self/ns/$at); done';
const KINDS = ['net', 'pid', 'ipc', 'uts', 'mnt', 'cgroup', 'user'] as const;
const options = (namespace_options: object) => withSecurity({namespace_options});

async function namespacesOf(rig: FieldRig, container: string): Promise<Readonly<Record<string, string>>> {
	return toFacts(await rig.exec(container, WHERE));
}
async function nodeNamespaces(): Promise<Readonly<Record<string, string>>> {
	return Object.fromEntries(await Promise.all(KINDS.map(async kind => [kind, await readlink(`/proc/self/ns/${kind}`)] as const)));
}

fields('POD: one PID, network, IPC and UTS namespace for all containers of the pod, none of the node; a mount and cgroup namespace each', async (t, rig) => {
	const pod = await rig.pod('pod', podLinux({namespace_options: {network: MODE.POD, pid: MODE.POD, ipc: MODE.POD}}));
	const [one, other] = [await rig.start(pod), await rig.start(pod, options({pid: MODE.POD}))];
	const [first, second, node] = [await namespacesOf(rig, one), await namespacesOf(rig, other), await nodeNamespaces()];
	for (const kind of ['net', 'pid', 'ipc', 'uts'] as const) {
		t.is(first[kind], second[kind], kind);
		t.not(first[kind], node[kind], kind);
	}
	for (const kind of ['mnt', 'cgroup'] as const) t.is(new Set([first[kind], second[kind], node[kind]]).size, 3, kind);
	t.is(first['user'], node['user']);
	t.deepEqual(await rig.exec(one, 'ps | grep -c "[s]leep 1000"'), ['2']);
	await rig.exec(one, 'echo word > /dev/shm/mark');
	t.deepEqual(await rig.exec(other, 'cat /dev/shm/mark'), ['word'], 'one /dev/shm');
	const {status: shown} = await rig.cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.like(shown?.linux?.namespaces?.options, {network: MODE.POD, pid: MODE.POD, ipc: MODE.POD} as never);
	await rig.remove(pod);
});

fields('CONTAINER: a PID namespace each, also in a pod that shares one; TARGET: that of another container', async (t, rig) => {
	const pod = await rig.pod('container', podLinux({namespace_options: {pid: MODE.CONTAINER}}));
	const own = options({pid: MODE.CONTAINER});
	const [one, other] = [await rig.start(pod, own), await rig.start(pod, own)];
	t.not((await namespacesOf(rig, one))['pid'], (await namespacesOf(rig, other))['pid']);
	t.deepEqual(await rig.exec(one, 'tr "\\0" " " < /proc/1/cmdline'), ['sleep 1000 ']);
	const debug = await rig.start(pod, options({pid: MODE.TARGET, target_id: one}));
	t.is((await namespacesOf(rig, debug))['pid'], (await namespacesOf(rig, one))['pid']);
	t.deepEqual(await rig.exec(debug, 'ps | grep -c "[s]leep 1000"'), ['2']);
	await rig.remove(pod);
	const shared = await rig.pod('shared', podLinux({namespace_options: {pid: MODE.POD}}));
	const alone = await rig.start(shared, own);
	t.deepEqual(await rig.exec(alone, 'ps | grep -c "[s]leep 1000"; tr "\\0" " " < /proc/1/cmdline'), ['1', 'sleep 1000 ']);
	await rig.remove(shared);
});

fields("NODE: the node's network with its host name, its PIDs, its IPC with its /dev/shm", async (t, rig) => {
	const namespace_options = {network: MODE.NODE, pid: MODE.NODE, ipc: MODE.NODE};
	const pod = await rig.pod('node', podLinux({namespace_options}));
	const container = await rig.start(pod, options(namespace_options));
	const [inside, node] = [await namespacesOf(rig, container), await nodeNamespaces()];
	for (const kind of ['net', 'pid', 'ipc', 'uts', 'user'] as const) t.is(inside[kind], node[kind], kind);
	const {status: shown} = await rig.cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.like(shown?.linux?.namespaces?.options, namespace_options as never);
	await rig.remove(pod);
});

fields('namespaces that contradict each other or the pod are refused by their field', async (t, rig) => {
	const {INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION} = status;
	for (const [namespace_options, says] of [
		[{network: MODE.CONTAINER}, /namespace_options\.network: only POD and NODE/],
		[{network: MODE.TARGET}, /namespace_options\.network: only POD and NODE/],
		[{ipc: MODE.CONTAINER}, /namespace_options\.ipc: only POD and NODE/],
		[{pid: MODE.TARGET, target_id: 'x'}, /namespace_options\.pid: TARGET is for containers only/],
		[{pid: 7}, /namespace_options\.pid: 7 is unknown/],
		[{target_id: 'x'}, /namespace_options\.target_id: only with pid TARGET/],
		[{userns_options: {mode: MODE.CONTAINER}}, /userns_options\.mode: only POD and NODE/],
		[{userns_options: {mode: MODE.POD, uids: [{host_id: 5, container_id: 1, length: 10}], gids: []}}, /userns_options\.uids\[0\]\.container_id is 1/],
		[{userns_options: {mode: MODE.POD, uids: [{host_id: 5, container_id: 0, length: 0}], gids: []}}, /userns_options\.uids\[0\]: 0 ids/],
	] as const)
		await assertRefused(t, INVALID_ARGUMENT, says, rig.pod('bad', podLinux({namespace_options})));
	const pod = await rig.pod('own', podLinux({namespace_options: {network: MODE.POD, pid: MODE.CONTAINER}}));
	const other = await rig.pod('other', podLinux({namespace_options: {pid: MODE.CONTAINER}}));
	const foreign = await rig.start(other, options({pid: MODE.CONTAINER}));
	const parked = await createContainer(rig.cri, pod, toContainerConfig('parked', ['true'], options({pid: MODE.CONTAINER})));
	for (const [namespace_options, code, says] of [
		[{network: MODE.NODE, pid: MODE.CONTAINER}, INVALID_ARGUMENT, /namespace_options\.network: NODE, but the pod sandbox has its own/],
		[{ipc: MODE.NODE, pid: MODE.CONTAINER}, INVALID_ARGUMENT, /namespace_options\.ipc: NODE, but the pod sandbox has its own/],
		[{ipc: MODE.TARGET, pid: MODE.CONTAINER}, INVALID_ARGUMENT, /namespace_options\.ipc: only POD and NODE/],
		[{pid: MODE.POD}, INVALID_ARGUMENT, /namespace_options\.pid: POD, but the pod sandbox was made with CONTAINER/],
		[{pid: MODE.NODE}, INVALID_ARGUMENT, /namespace_options\.pid: NODE, but the pod sandbox does not share the node's/],
		[{pid: 9}, INVALID_ARGUMENT, /namespace_options\.pid: 9 is unknown/],
		[{pid: MODE.TARGET}, INVALID_ARGUMENT, /namespace_options\.target_id: TARGET needs the id/],
		[{pid: MODE.CONTAINER, target_id: foreign}, INVALID_ARGUMENT, /namespace_options\.target_id: only with pid TARGET/],
		[{pid: MODE.TARGET, target_id: foreign}, INVALID_ARGUMENT, /target_id: container ".*" is of another pod sandbox/],
		[{pid: MODE.TARGET, target_id: 'f'.repeat(64)}, NOT_FOUND, /container "f+" not found/],
		[{pid: MODE.TARGET, target_id: parked}, FAILED_PRECONDITION, /is created, must be running/],
	] as const)
		await assertRefused(t, code, says, createContainer(rig.cri, pod, toContainerConfig('bad', ['true'], options(namespace_options))));
	await rig.remove(other);
	await rig.remove(pod);
});
