import {status} from '@grpc/grpc-js';
import test from 'ava';
import {assertRefused} from '../rig/refusal.js';
import {pullBusybox, removePod, runContainer, runPodBy, statusOf, toContainerConfig, until} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test, {runtime: '[runtime.handlers.test-handler]\ntype = "native"\n'});
const EXITED = 2;

test.serial('a configured alias is chosen by runtime_handler, told in the status, and survives kill -9 of the daemon', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPodBy(daemon, 'test-handler', {name: 'aliased'});
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', 'exit 7']));
	const ended = await until(
		'the exit',
		() => statusOf(daemon.cri, id),
		({state}) => state === EXITED,
	);
	t.is(ended.exit_code, 7);
	await daemon.kill();
	await daemon.start();
	const reply = await daemon.cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.is(reply.status?.runtime_handler, 'test-handler');
	await removePod(daemon.cri, pod);
});

test.serial('Status lists the alias with the features of native', async t => {
	const {daemon} = running();
	const {runtime_handlers: handlers} = await daemon.cri.call('Status', {});
	t.deepEqual(
		handlers.map(({name}) => name),
		['', 'test-handler'],
	);
	t.deepEqual(handlers[0]?.features, handlers[1]?.features);
});

test.serial('an unknown handler is INVALID_ARGUMENT and names the configured ones', async t => {
	const {daemon} = running();
	await assertRefused(
		t,
		status.INVALID_ARGUMENT,
		/runtime_handler "kata" is not configured; configured: "" \(native\), "test-handler"/,
		runPodBy(daemon, 'kata', {name: 'p'}),
	);
});
