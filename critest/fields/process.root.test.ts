import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {ContainerConfig, Signal} from '../../proto/cri.js';
import {createContainer, readMessages, runContainer, statusOf, toContainerConfig, until} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {podLinux, pullOwn, says, useFields} from './rig.js';

/** Every hard limit here is below what the daemon has. */
const fields = useFields(test, {runtime: 'default_ulimits = ["stack=4194304:8388608", "nofile=200", "core=0"]'});
const EXITED = 2;
/** CRI v1: Signal. */
const SIGUSR1 = 29 as Signal;
const SIGUSR2 = 30;

fields('the image says what runs, as whom, where and with what; the config wins, word by word', async (t, rig) => {
	const image = {
		image: await pullOwn(
			rig,
			'says',
			{
				User: 'web',
				Env: ['A=image', 'B=image'],
				Entrypoint: ['sh', '-c', 'echo "$0 $*"; pwd; id; echo A=$A B=$B HOME=$HOME; test -d /vol && stat -c %a /vol'],
				Cmd: ['one', 'two'],
				WorkingDir: '/srv/app',
				Volumes: {'/vol': {}},
			},
			[
				{type: 'file', path: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\nweb:x:101:102::/home/web:/bin/sh\n'},
				{type: 'file', path: 'etc/group', content: 'root:x:0:\nweb:x:102:\nmore:x:103:web\n'},
			],
		),
	};
	const pod = await rig.pod('image');
	let runs = 0;
	const run = async (changes: Partial<ContainerConfig>): Promise<readonly string[]> =>
		await rig.runConfig(pod, {metadata: {name: `image-${++runs}`, attempt: 0}, log_path: `image-${runs}.log`, image, ...changes});
	t.deepEqual(await run({}), ['one two', '/srv/app', 'uid=101(web) gid=102(web) groups=102(web),103(more)', 'A=image B=image HOME=/home/web', '755']);
	const envs = [{key: 'A', value: Buffer.from('config')}];
	t.deepEqual((await run({args: ['three'], envs, working_dir: '/made/here', linux: {security_context: {run_as_user: {value: '0'}}}})).slice(0, 4), [
		'three ',
		'/made/here',
		'uid=0(root) gid=0(root) groups=0(root)',
		'A=config B=image HOME=/root',
	]);
	t.deepEqual(await run({command: ['echo', 'only']}), ['only']);
	t.deepEqual(await run({command: ['echo'], args: ['both']}), ['both']);
	await rig.remove(pod);
});

fields('values of variables are bytes, whatever they mean', async (t, rig) => {
	const pod = await rig.pod('bytes');
	const envs = [{key: 'BYTES', value: Buffer.from([0xff, 0xfe, 0x20, 0x0a])}];
	t.deepEqual(await rig.run(pod, 'printf %s "$BYTES" | od -An -tx1', {envs}), [' ff fe 20 0a']);
	await rig.remove(pod);
});

fields('variables of any name, empty ones too; limits of the config hold for a container and its exec', async (t, rig) => {
	const pod = await rig.pod('limits');
	const envs = [
		{key: 'data-1', value: Buffer.from('dash')},
		{key: 'EMPTY', value: Buffer.alloc(0)},
		{key: 'TEXT', value: Buffer.from('é=\n"')},
	];
	const script = 'env | grep -c "^EMPTY=$"; printf %s "$TEXT" | od -An -tx1; env | grep data-1; ulimit -s; ulimit -Hs; ulimit -n; ulimit -c';
	const expected = ['1', ' c3 a9 3d 0a 22', 'data-1=dash', '4096', '8192', '200', '0'];
	t.deepEqual(await rig.run(pod, script, {envs}), expected);
	t.deepEqual(await rig.exec(await rig.start(pod, {envs}), script), expected);
	await rig.remove(pod);
});

fields('what names and describes a container is kept and shown, over a restart of the daemon, and its log lies below the log directory', async (t, rig) => {
	const pod = await rig.pod('described', {labels: {app: 'a/b'}, annotations: {'example.com/x': 'one\ntwo'}});
	const image = {
		image: 'registry.k8s.io/e2e-test-images/busybox:1.29-2',
		user_specified_image: 'registry.k8s.io/e2e-test-images/busybox:1.29-2',
		annotations: {any: 'thing'},
		runtime_handler: '',
		image_ref: 'other',
	};
	const changes: Partial<ContainerConfig> = {
		metadata: {name: 'main', attempt: 3},
		image,
		labels: {tier: 'web'},
		annotations: {note: 'é'},
		log_path: 'main/3.log',
		stop_signal: SIGUSR1,
	};
	const id = await runContainer(
		rig.cri,
		pod,
		toContainerConfig('', ['sh', '-c', 'trap "echo usr1; exit 7" USR1; echo ready; while :; do sleep 0.1; done'], changes),
	);
	const log = join(pod.logDirectory, 'main/3.log');
	await until(
		'it is ready',
		() => readFile(log, 'utf8').catch(() => ''),
		text => text.includes('ready'),
	);
	await rig.daemon.kill();
	await rig.daemon.start();
	const shown = await statusOf(rig.cri, id);
	t.like(shown, {metadata: {name: 'main', attempt: 3}, labels: {tier: 'web'}, annotations: {note: 'é'}, log_path: log, stop_signal: SIGUSR1} as never);
	t.is(shown.image?.image, image.image);
	t.is(shown.image?.user_specified_image, image.user_specified_image);
	const {containers} = await rig.cri.call('ListContainers', {filter: {label_selector: {tier: 'web'}}});
	t.deepEqual(
		containers.map(container => [container.id, container.metadata?.attempt, container.annotations]),
		[[id, 3, {note: 'é'}]],
	);
	const {status: podStatus} = await rig.cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.like(podStatus, {labels: {app: 'a/b'}, annotations: {'example.com/x': 'one\ntwo'}, metadata: pod.config.metadata} as never);
	t.deepEqual(
		(await rig.cri.call('ListPodSandbox', {filter: {label_selector: {app: 'a/b'}}})).items.map(item => item.id),
		[pod.id],
	);
	await rig.cri.call('StopContainer', {container_id: id, timeout: 30});
	t.is((await statusOf(rig.cri, id)).exit_code, 7, 'the stop signal reached it');
	t.deepEqual(await readMessages(log), ['ready', 'usr1']);
	const next = await createContainer(rig.cri, pod, toContainerConfig('', ['true'], {...changes, metadata: {name: 'main', attempt: 4}}));
	t.not(next, id, 'a higher attempt is another container');
	await assertRefused(t, status.ALREADY_EXISTS, /raise attempt/, createContainer(rig.cri, pod, toContainerConfig('', ['true'], changes)));
	await rig.remove(pod);
});

fields("a container stops by the image's signal where the config names none", async (t, rig) => {
	const image = {image: await pullOwn(rig, 'signal', {StopSignal: 'SIGUSR2'})};
	const pod = await rig.pod('signal');
	const id = await runContainer(rig.cri, pod, toContainerConfig('c', ['sh', '-c', 'trap "exit 12" USR2; echo ready; while :; do sleep 0.1; done'], {image}));
	await until(
		'it is ready',
		() => readFile(join(pod.logDirectory, 'c.log'), 'utf8').catch(() => ''),
		text => text.includes('ready'),
	);
	t.is((await statusOf(rig.cri, id)).stop_signal as number, SIGUSR2);
	await rig.cri.call('StopContainer', {container_id: id, timeout: 30});
	t.like(await statusOf(rig.cri, id), {state: EXITED, exit_code: 12});
	await rig.remove(pod);
});

fields('windows is refused, of a pod and of a container, and so is everything below it', async (t, rig) => {
	const pod = await rig.pod('linux');
	const windows = {resources: {cpu_shares: 5}};
	await assertRefused(t, status.INVALID_ARGUMENT, /windows is set on a Linux node/, createContainer(rig.cri, pod, toContainerConfig('c', ['true'], {windows})));
	const security_context = {run_as_username: 'ContainerUser', host_process: true};
	await assertRefused(t, status.INVALID_ARGUMENT, /windows is set on a Linux node/, rig.pod('windows', {windows: {security_context}, ...podLinux()}));
	await rig.remove(pod);
});

fields("oom_score_adj is the process's, as far as this machine lets it be", async (t, rig) => {
	const pod = await rig.pod('oom');
	const lines = await rig.run(pod, `cat /proc/self/oom_score_adj; ${says('root', 'true')}`, {linux: {resources: {oom_score_adj: '777'}}});
	t.deepEqual(lines, ['777', 'root=yes']);
	await rig.remove(pod);
});
