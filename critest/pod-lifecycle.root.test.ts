import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {BUSYBOX_IMAGE} from './fixtures/images.js';
import {createContainer, pullBusybox, readMessages, removePod, runContainer, runPod, statusOf, toContainerConfig, until} from './rig/pods.js';
import {useDaemon} from './rig/use-daemon.js';

const running = useDaemon(test);
/** CRI v1: ContainerState, PodSandboxState. */
const EXITED = 2;
const RUNNING = 1;
const POD_NOT_READY = 1;

test.serial('crictl runs a pod: pull, runp, create, start, ps, logs, exec, stop, rm, stopp, rmp', async t => {
	const {daemon} = running();
	const ok = async (...args: readonly string[]): Promise<string> => {
		const {exitCode, stdout, stderr} = await daemon.crictl(args);
		t.is(exitCode, 0, `crictl ${args.join(' ')}: ${stderr}`);
		return stdout.trim();
	};
	const logs = join(daemon.places.scratchDir, 'crictl');
	await mkdir(logs, {recursive: true});
	const podFile = join(logs, 'pod.json');
	const containerFile = join(logs, 'container.json');
	await writeFile(podFile, JSON.stringify({metadata: {name: 'p', uid: 'u', namespace: 'n', attempt: 0}, log_directory: logs, linux: {}}));
	await writeFile(
		containerFile,
		JSON.stringify({
			metadata: {name: 'c'},
			image: {image: BUSYBOX_IMAGE},
			command: ['sh', '-c', 'echo hello from $HOSTNAME; sleep 1000'],
			log_path: 'c.log',
			linux: {},
		}),
	);
	await ok('pull', BUSYBOX_IMAGE);
	const pod = await ok('runp', podFile);
	const container = await ok('create', pod, containerFile, podFile);
	await ok('start', container);
	t.regex(await ok('ps'), new RegExp(container.slice(0, 13)));
	await until(
		'the container logs',
		() => daemon.crictl(['logs', container]),
		({stdout}) => stdout.startsWith('hello from'),
	);
	t.is(await ok('exec', container, 'echo', 'over the stream'), 'over the stream');
	t.is(await ok('exec', '--sync', container, 'echo', 'at once'), 'at once');
	t.is((await daemon.crictl(['exec', container, 'sh', '-c', 'exit 7'])).exitCode === 0, false);
	await ok('stop', '--timeout', '0', container);
	await ok('rm', container);
	await ok('stopp', pod);
	await ok('rmp', pod);
});

test.serial('an exit code, its time and the whole log are known after a container ended', async t => {
	const {cri} = running().daemon;
	await pullBusybox(cri);
	const pod = await runPod(running().daemon, 'exits');
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sh', '-c', 'for i in $(seq 1 1000); do echo line $i; done; exit 42']));
	const status = await until(
		'the container ends',
		() => statusOf(cri, id),
		({state}) => state === EXITED,
	);
	t.is(status.exit_code, 42);
	t.is(status.reason, 'Error');
	t.true(BigInt(status.created_at) <= BigInt(status.started_at) && BigInt(status.started_at) <= BigInt(status.finished_at));
	t.deepEqual(
		await readMessages(join(pod.logDirectory, 'c.log')),
		Array.from({length: 1000}, (_, i) => `line ${i + 1}`),
	);
	await removePod(cri, pod);
});

test.serial('containers of a pod share its network and its host name, and not their files', async t => {
	const {cri} = running().daemon;
	await pullBusybox(cri);
	const pod = await runPod(running().daemon, 'shares', {hostname: 'shared-name'});
	const serve = 'mkdir /www; echo over localhost > /www/index.html; httpd -f -p 8080 -h /www';
	await runContainer(cri, pod, toContainerConfig('server', ['sh', '-c', serve]));
	const client = await runContainer(cri, pod, toContainerConfig('client', ['sleep', '1000']));
	const exec = async (...cmd: readonly string[]) => {
		const {stdout, exit_code: exitCode} = await cri.call('ExecSync', {container_id: client, cmd: [...cmd]});
		return {stdout: Buffer.from(stdout).toString(), exitCode};
	};
	const page = await until(
		'the other container serves',
		() => exec('wget', '-q', '-O', '-', 'http://localhost:8080/'),
		({exitCode}) => exitCode === 0,
	);
	t.is(page.stdout, 'over localhost\n');
	t.is((await exec('hostname')).stdout, 'shared-name\n');
	t.not((await exec('ls', '/www')).exitCode, 0);
	await removePod(cri, pod);
});

test.serial('stopping a pod stops its containers, and removing it removes them', async t => {
	const {cri} = running().daemon;
	await pullBusybox(cri);
	const pod = await runPod(running().daemon, 'stops');
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sleep', '1000']));
	t.is((await statusOf(cri, id)).state, RUNNING);
	await cri.call('StopPodSandbox', {pod_sandbox_id: pod.id});
	t.is((await statusOf(cri, id)).state, EXITED);
	const {status} = await cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.is(status?.state, POD_NOT_READY);
	await cri.call('RemovePodSandbox', {pod_sandbox_id: pod.id});
	const {containers} = await cri.call('ListContainers', {});
	t.deepEqual(containers, []);
});

test.serial('a host path is mounted, and what the container writes there is on the host', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'mounts');
	const volume = join(daemon.places.scratchDir, 'volume');
	await mkdir(volume, {recursive: true});
	const mounts = [{host_path: volume, container_path: '/volume'}];
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', 'echo kept > /volume/file'], {mounts}));
	await until(
		'the container ends',
		() => statusOf(daemon.cri, id),
		({state}) => state === EXITED,
	);
	t.is(await readFile(join(volume, 'file'), 'utf8'), 'kept\n');
	await removePod(daemon.cri, pod);
});

test.serial('a container beyond its memory limit is killed, and that is said', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'oom');
	const linux = {resources: {memory_limit_in_bytes: 16 * 1024 * 1024}};
	const id = await createContainer(daemon.cri, pod, toContainerConfig('c', ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=64M', 'count=2'], {linux}));
	await daemon.cri.call('StartContainer', {container_id: id});
	const status = await until(
		'the container ends',
		() => statusOf(daemon.cri, id),
		({state}) => state === EXITED,
	);
	t.is(status.exit_code, 137);
	t.is(status.reason, 'OOMKilled');
	await removePod(daemon.cri, pod);
});
