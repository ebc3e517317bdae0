import {readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {BUSYBOX_IMAGE} from '../fixtures/images.js';
import {nameOf, RUNTIME} from '../handlers/handlers.js';
import {containerCgroup, containerInfo} from '../rig/cgroup-files.js';
import {TOOLS_DIR, type Daemon} from '../rig/daemon.js';
import {createContainer, pullBusybox, removePod, runContainer, runPod, runPodBy, statusOf, toContainerConfig, toPodConfig, until} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {ask, hasCgroup, inspect, networkOf} from './ask.js';

const running = useDaemon(test, {
	identity: 'cri-o',
	runtime: `${RUNTIME}[runtime.handlers.shim]\ntype = "shim-v2"\npath = "${join(TOOLS_DIR, 'containerd-shim-runc-v2')}"\noptions = ["binary_name=/usr/sbin/runc"]\n`,
});
const EXITED = 2;

test.before(async () => void (await pullBusybox(running().daemon.cri)));

async function restartAs(daemon: Daemon, identity: 'berth' | 'cri-o'): Promise<void> {
	await daemon.stop();
	const text = await readFile(daemon.places.configFile, 'utf8');
	await writeFile(daemon.places.configFile, text.replace(/^identity = .*$/m, `identity = "${identity}"`));
	await daemon.start();
}

test.serial('crictl and cAdvisor are served on the same socket', async t => {
	const {daemon} = running();
	const {socket, rootDir} = daemon.places;
	const pod = await runPod(daemon, 'both');
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000'], {annotations: {a: 'b'}}));
	const info = await ask(socket, '/info');
	t.is(info.code, 200);
	t.like(JSON.parse(info.body), {storage_driver: 'overlay', storage_root: rootDir, cgroup_driver: 'cgroupfs'});
	const listed = await daemon.crictl(['ps', '-q', '--no-trunc']);
	t.is(listed.stdout.trim(), id, listed.stderr);
	const container = await inspect(socket, id);
	t.like(container, {image: BUSYBOX_IMAGE, annotations: {a: 'b'}, log_path: join(pod.logDirectory, 'c.log')});
	t.is(container.pid, (await containerInfo(daemon.cri, id)).pid);
	t.like(container.labels, {'io.kubernetes.pod.name': 'both', 'io.kubernetes.pod.namespace': 'test', 'io.kubernetes.container.name': 'c'});
	t.is((await ask(socket, `/containers/${'0'.repeat(64)}`)).code, 404);
	t.is((await daemon.crictl(['exec', id, 'true'])).exitCode, 0);
	await removePod(daemon.cri, pod);
	t.is((await ask(socket, `/containers/${id}`)).code, 404);
});

test.serial("the writable layer's files are where cAdvisor measures them", async t => {
	const {daemon} = running();
	const pod = await runPod(daemon, 'layer');
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', 'echo text > /file; sleep 1000']));
	const {root} = await inspect(daemon.places.socket, id);
	const {size} = await until(
		'the file is there',
		() => stat(join(root, 'diff', 'file')).catch(() => null),
		found => found !== null,
	).then(found => found ?? {size: 0});
	t.is(size, 5);
	t.true((await stat(join((await inspect(daemon.places.socket, pod.id)).root, 'diff'))).isDirectory());
	await removePod(daemon.cri, pod);
});

for (const handler of ['', 'runc', 'crun', 'shim'])
	test.serial(`cgroups have the names that cAdvisor knows, from CreateContainer to the end, by ${nameOf(handler)}`, async t => {
		const {daemon} = running();
		const pod = await runPodBy(daemon, handler, {name: `named-${nameOf(handler)}`});
		const parent = `${daemon.places.cgroupRoot}/pod-${pod.id}`;
		t.true(await hasCgroup(`${parent}/crio-${pod.id}`));
		const created = await createContainer(daemon.cri, pod, toContainerConfig('created', ['sleep', '1000']));
		const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000']));
		for (const each of [created, id]) {
			t.is(await containerCgroup(daemon.cri, each), `${parent}/crio-${each}`);
			t.true(await hasCgroup(`${parent}/crio-${each}`));
		}
		const {pid} = await inspect(daemon.places.socket, id);
		t.regex(await readFile(`/proc/${pid}/cgroup`, 'utf8'), new RegExp(`:${parent}/crio-${id}$`, 'm'));
		t.is((await daemon.cri.call('ExecSync', {container_id: id, cmd: ['true']})).exit_code, 0);
		const sandbox = await inspect(daemon.places.socket, pod.id);
		t.is(sandbox.labels['io.kubernetes.container.name'], 'POD');
		t.is(await networkOf(sandbox.pid), await networkOf(pid));
		t.not(await networkOf(sandbox.pid), await networkOf(process.pid));
		t.is(sandbox.ip_addresses.length, 1);
		await removePod(daemon.cri, pod);
		t.false(await hasCgroup(`${parent}/crio-${pod.id}`));
		t.deepEqual(await daemon.leaks(), []);
	});

for (const handler of ['', 'runc', 'shim'])
	test.serial(`a container that has ended has no cgroup any more, which cAdvisor would count on, by ${nameOf(handler)}`, async t => {
		const {daemon} = running();
		const pod = await runPodBy(daemon, handler, {name: `ended-${nameOf(handler)}`});
		// What it leaves behind is killed with it.
		const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', 'sleep 1000 & exit 3']));
		await until(
			'it ends',
			() => statusOf(daemon.cri, id),
			({state}) => state === EXITED,
		);
		const cgroup = await containerCgroup(daemon.cri, id);
		await until(
			'its cgroups go',
			() => Promise.all(['memory', 'cpuacct', 'devices'].map(controller => hasCgroup(cgroup, controller))),
			found => !found.includes(true),
		);
		t.is((await statusOf(daemon.cri, id)).exit_code, 3);
		t.like(await inspect(daemon.places.socket, id), {pid: 0});
		await removePod(daemon.cri, pod);
	});

test.serial("a pod on the node's network has no cgroup that stands for it: its counters would be the node's", async t => {
	const {daemon} = running();
	const config = await toPodConfig(daemon, 'host', true);
	for (const handler of ['', 'shim']) {
		const {pod_sandbox_id: id} = await daemon.cri.call('RunPodSandbox', {config, runtime_handler: handler});
		t.false(await hasCgroup(`${daemon.places.cgroupRoot}/pod-${id}/crio-${id}`));
		t.like(await inspect(daemon.places.socket, id), {pid: 0});
		await removePod(daemon.cri, {id, config, logDirectory: ''});
	}
});

test.serial('a daemon of another identity keeps what runs, by the names that it has', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	const old = await runPod(daemon, 'old');
	const parent = `${daemon.places.cgroupRoot}/pod-${old.id}`;
	const id = await runContainer(cri, old, toContainerConfig('c', ['sleep', '1000'], {linux: {resources: {memory_limit_in_bytes: 64 << 20}}}));
	await restartAs(daemon, 'berth');
	t.is(await containerCgroup(cri, id), `${parent}/crio-${id}`);
	t.is((await cri.call('ExecSync', {container_id: id, cmd: ['true']})).exit_code, 0);
	await cri.call('UpdateContainerResources', {container_id: id, linux: {memory_limit_in_bytes: 96 << 20}});
	t.is(String((await statusOf(cri, id)).resources?.linux?.memory_limit_in_bytes), String(96 << 20));
	const plain = await runContainer(cri, old, toContainerConfig('plain', ['sleep', '1000']));
	t.is(await containerCgroup(cri, plain), `${parent}/${plain}`);
	await t.throwsAsync(ask(daemon.places.socket, '/info'));
	const made = await runPod(daemon, 'made');
	t.false(await hasCgroup(`${daemon.places.cgroupRoot}/pod-${made.id}/crio-${made.id}`));
	await restartAs(daemon, 'cri-o');
	t.is(await containerCgroup(cri, plain), `${parent}/${plain}`);
	t.is((await ask(daemon.places.socket, '/info')).code, 200);
	t.true((await inspect(daemon.places.socket, old.id)).pid > 0);
	for (const pod of [old, made]) await removePod(cri, pod);
	t.false(await hasCgroup(`${parent}/crio-${old.id}`));
	t.deepEqual(await daemon.leaks(), []);
});
