import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {ContainerConfig, PodSandboxConfig} from '../../proto/cri.js';
import {createContainer, pullBusybox, removePod, runPod, toContainerConfig, toPodConfig, statusOf} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
const UNKNOWN = 'f'.repeat(64);

test.serial('unknown ids are not found, and stopping or removing them succeeds', async t => {
	const {cri} = running().daemon;
	const container_id = UNKNOWN;
	const pod_sandbox_id = UNKNOWN;
	const config = toContainerConfig('c', ['true']);
	await assertRefused(t, status.NOT_FOUND, /pod sandbox "f+" not found/, cri.call('PodSandboxStatus', {pod_sandbox_id}));
	await assertRefused(t, status.NOT_FOUND, /container "f+" not found/, cri.call('ContainerStatus', {container_id}));
	await assertRefused(t, status.NOT_FOUND, /pod sandbox "f+" not found/, cri.call('CreateContainer', {pod_sandbox_id, config, sandbox_config: {}}));
	await assertRefused(t, status.NOT_FOUND, /container "f+" not found/, cri.call('StartContainer', {container_id}));
	await assertRefused(t, status.NOT_FOUND, /container "f+" not found/, cri.call('ExecSync', {container_id, cmd: ['true']}));
	await assertRefused(t, status.NOT_FOUND, /container "f+" not found/, cri.call('Exec', {container_id, cmd: ['true'], stdout: true}));
	await assertRefused(t, status.NOT_FOUND, /container "f+" not found/, cri.call('ContainerStats', {container_id}));
	await assertRefused(t, status.NOT_FOUND, /container "f+" not found/, cri.call('ReopenContainerLog', {container_id}));
	await cri.call('StopContainer', {container_id});
	await cri.call('RemoveContainer', {container_id});
	await cri.call('StopPodSandbox', {pod_sandbox_id});
	await cri.call('RemovePodSandbox', {pod_sandbox_id});
	t.is((await cri.image('ImageStatus', {image: {image: 'registry.k8s.io/none:1'}})).image, null);
	await cri.image('RemoveImage', {image: {image: 'registry.k8s.io/none:1'}});
});

const BAD_PODS: readonly {readonly what: string; readonly changes: Partial<PodSandboxConfig>; readonly says: RegExp}[] = [
	{what: 'no metadata', changes: {metadata: null}, says: /metadata/},
	{what: 'no name', changes: {metadata: {name: '', uid: 'u', namespace: 'n', attempt: 0}}, says: /metadata\.name/},
	{what: 'a host name that is too long', changes: {hostname: 'h'.repeat(65)}, says: /hostname/},
	{what: 'a relative log directory', changes: {log_directory: 'logs'}, says: /log_directory/},
	{what: 'a port beyond 65535', changes: {port_mappings: [{protocol: 0, container_port: 80, host_port: 70_000}]}, says: /host_port/},
	{what: 'a malformed sysctl', changes: {linux: {sysctls: {'../../etc/passwd': '1'}}}, says: /sysctl/},
	{what: 'a cgroup parent with ..', changes: {linux: {cgroup_parent: '/../../up'}}, says: /cgroup_parent/},
];
for (const {what, changes, says} of BAD_PODS) {
	test.serial(`a pod sandbox with ${what} is refused, naming the field`, async t => {
		const {daemon} = running();
		const config = {...(await toPodConfig(daemon, 'bad', false)), ...changes} as PodSandboxConfig;
		await assertRefused(t, status.INVALID_ARGUMENT, says, daemon.cri.call('RunPodSandbox', {config}));
	});
}

test.serial('a runtime handler that is not configured is refused by name', async t => {
	const {daemon} = running();
	const config = await toPodConfig(daemon, 'bad', false);
	const call = daemon.cri.call('RunPodSandbox', {config, runtime_handler: 'no-such-handler'}).catch((error: unknown) => Promise.reject(error as Error));
	await t.throwsAsync(call, {message: /no-such-handler/});
});

const BAD_CONTAINERS: readonly {readonly what: string; readonly changes: Partial<ContainerConfig>; readonly says: RegExp; readonly code?: number}[] = [
	{what: 'no metadata', changes: {metadata: null}, says: /metadata/},
	{what: 'no image', changes: {image: null}, says: /image/},
	{what: 'a relative mount target', changes: {mounts: [{host_path: '/tmp', container_path: 'relative'}]}, says: /container_path/},
	{what: 'a mount of nothing', changes: {mounts: [{host_path: '', container_path: '/x'}]}, says: /host_path/},
	{what: 'a log path that leaves the log directory', changes: {log_path: '../../escape.log'}, says: /log_path/},
	{what: 'a group without a user', changes: {linux: {security_context: {run_as_group: {value: '1000'}}}}, says: /run_as_group/},
	{what: 'an unknown capability', changes: {linux: {security_context: {capabilities: {add_capabilities: ['CAP_FLY']}}}}, says: /CAP_FLY|capabilit/},
	{what: 'a negative memory limit', changes: {linux: {resources: {memory_limit_in_bytes: -5}}}, says: /memory_limit_in_bytes/},
	{what: 'a relative working directory', changes: {working_dir: 'relative'}, says: /working_dir/},
	{what: 'an environment variable without a name', changes: {envs: [{key: '', value: Buffer.from('x')}]}, says: /env/},
];
for (const {what, changes, says} of BAD_CONTAINERS) {
	test.serial(`a container with ${what} is refused, naming the field`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPod(daemon, 'good');
		const config = {...toContainerConfig('bad', ['true']), ...changes} as ContainerConfig;
		await assertRefused(t, status.INVALID_ARGUMENT, says, createContainer(daemon.cri, pod, config));
		t.deepEqual((await daemon.cri.call('ListContainers', {})).containers, []);
		await removePod(daemon.cri, pod);
	});
}

test.serial('a container of an image that was not pulled is refused, naming the image', async t => {
	const {daemon} = running();
	const pod = await runPod(daemon, 'imageless');
	const config = toContainerConfig('c', ['true'], {image: {image: 'registry.k8s.io/never-pulled:1'}});
	await assertRefused(t, status.NOT_FOUND, /image "registry\.k8s\.io\/never-pulled:1" not found/, createContainer(daemon.cri, pod, config));
	await removePod(daemon.cri, pod);
});

for (const {what, command, says} of [
	{what: 'does not exist', command: '/no/such/program', says: /\/no\/such\/program.*(?:no such file|not found|ENOENT)/i},
	{what: 'is not in $PATH', command: 'no-such-program', says: /no-such-program.*(?:no such file|not found|ENOENT)/i},
	{what: 'is not executable', command: '/etc/passwd', says: /\/etc\/passwd.*(?:permission denied|EACCES|not executable)/i},
	{what: 'is a directory', command: '/etc', says: /\/etc.*(?:permission denied|EACCES|is a directory|not executable)/i},
]) {
	test.serial(`an entrypoint that ${what} is an error that names it`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPod(daemon, 'entrypoint');
		let id: string | null = null;
		const start = async (): Promise<void> => {
			id = await createContainer(daemon.cri, pod, toContainerConfig('c', [command]));
			await daemon.cri.call('StartContainer', {container_id: id});
		};
		await t.throwsAsync(start, {message: says});
		// A container that could be created but not started is kept, exited, for its status to say why.
		if (id !== null) t.is((await statusOf(daemon.cri, id)).state, 2);
		await removePod(daemon.cri, pod);
	});
}
