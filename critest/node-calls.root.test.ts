import {status} from '@grpc/grpc-js';
import test from 'ava';
import {pullBusybox, removePod, runContainer, runPod, toContainerConfig, until} from './rig/pods.js';
import {assertRefused} from './rig/refusal.js';
import {useDaemon} from './rig/use-daemon.js';

const running = useDaemon(test);

test.serial('UpdateRuntimeConfig is noted and changes nothing; CheckpointContainer, CheckpointPod and RestorePod are refused in words that say so', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	t.deepEqual(await cri.call('UpdateRuntimeConfig', {runtime_config: {network_config: {pod_cidr: '192.0.2.0/24'}}}), {});
	// The log is written behind the replies.
	await until(
		'the line of the log',
		() => daemon.log(),
		log => log.includes('"podCidr":"192.0.2.0/24"'),
	);
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'kept-address');
	const {status: podStatus} = await cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.false(podStatus?.network?.ip.startsWith('192.0.2.'));
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sleep', '600'], {stop_signal: 9}));
	const location = `${daemon.places.scratchDir}/c.tar`;
	await assertRefused(
		t,
		status.UNIMPLEMENTED,
		/^CheckpointContainer: berth does not checkpoint/,
		cri.call('CheckpointContainer', {container_id: id, location}),
	);
	await assertRefused(t, status.UNIMPLEMENTED, /^CheckpointPod: berth does not checkpoint/, cri.call('CheckpointPod', {pod_sandbox_id: pod.id}));
	await assertRefused(t, status.UNIMPLEMENTED, /^RestorePod: berth does not checkpoint/, cri.call('RestorePod', {}));
	const {containers} = await cri.call('ListContainers', {});
	t.deepEqual(
		containers.map(container => [container.id, container.state]),
		[[id, 1]],
	);
	await removePod(cri, pod);
});
