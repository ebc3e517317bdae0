import {readFile, writeFile} from 'node:fs/promises';
import test from 'ava';
import type {NamespaceMode} from '../../proto/cri.js';
import {containerCgroup, limitPath, MEMORY_LIMIT, PIDS_LIMIT} from '../rig/cgroup-files.js';
import {pullBusybox, removePod, runContainer, runPod, statusOf, toContainerConfig, until, type Pod} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
/** CRI v1: ContainerState. */
const EXITED = 2;
const PODS_LIMIT = 150;
/** Makes processes without end, and begins anew where a shell would give up or is told to stop: only SIGKILL ends it. */
const BOMB = `cat > /tmp/bomb <<'EOF'
trap 'exec sh /tmp/bomb' EXIT
trap '' TERM
while :; do sh /tmp/bomb & done
EOF
exec 2>/dev/null; exec sh /tmp/bomb`;
/** CRI v1: NamespaceMode. */
const PID_MODES = {pod: 0, container: 1, node: 2} as const;

async function childrenOf(pid: number): Promise<readonly string[]> {
	return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').filter(child => child !== '');
}

async function monitorPid(pod: Pod): Promise<number> {
	const {info} = await running().daemon.cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id, verbose: true});
	return (JSON.parse(info['info'] ?? '{}') as {readonly pid: number}).pid;
}

for (const [mode, number] of Object.entries(PID_MODES)) {
	test.serial(`a fork bomb in the PID namespace of its ${mode}, without a limit of its own, is stopped wholly and leaves no zombie`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const security = {security_context: {namespace_options: {pid: number as NamespaceMode}}};
		const pod = await runPod(daemon, `bomb-${mode}`, {linux: security});
		t.teardown(() => removePod(daemon.cri, pod));
		await writeFile(await limitPath(`${daemon.places.cgroupRoot}/pod-${pod.id}`, PIDS_LIMIT), String(PODS_LIMIT));
		const monitor = await monitorPid(pod);
		const before = await childrenOf(monitor);
		const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', BOMB], {linux: security, log_path: ''}));
		const current = await limitPath(await containerCgroup(daemon.cri, id), {v1: 'pids/pids.current', v2: 'pids.current'});
		// Its cgroup goes with the last of them that is alive.
		const processes = async (): Promise<number> =>
			Number(
				await readFile(current, 'utf8').catch((error: NodeJS.ErrnoException) => {
					if (error.code !== 'ENOENT' && error.code !== 'ENODEV') throw error;
					return '0';
				}),
			);
		// The pod's limit counts the pod's own init too, where it has one.
		await until('the bomb fills its pod', processes, count => count > PODS_LIMIT - 10);
		await daemon.cri.call('StopContainer', {container_id: id, timeout: '1'});
		t.like(await statusOf(daemon.cri, id), {state: EXITED, exit_code: 137, reason: 'Error'});
		await until('all of it is gone', processes, count => count === 0);
		await until(
			'all of it is waited for',
			() => childrenOf(monitor),
			children => children.length <= before.length,
		);
		t.deepEqual(await childrenOf(monitor), before);
		await daemon.cri.call('RemoveContainer', {container_id: id});
	});
}

test.serial("a container that is killed for its pod's memory, not its own, says so", async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'pod-oom');
	t.teardown(() => removePod(daemon.cri, pod));
	await writeFile(await limitPath(`${daemon.places.cgroupRoot}/pod-${pod.id}`, MEMORY_LIMIT), String(32 * 1024 * 1024));
	const hog = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=128M', 'count=2'];
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', hog));
	const ended = await until(
		'the container ends',
		() => statusOf(daemon.cri, id),
		({state}) => state === EXITED,
	);
	t.like(ended, {exit_code: 137, reason: 'OOMKilled'});
});

test.serial('a container of which a child was killed for its memory says so at its end', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'child-oom');
	t.teardown(() => removePod(daemon.cri, pod));
	const script = 'dd if=/dev/zero of=/dev/null bs=128M count=2; exit 5';
	const linux = {resources: {memory_limit_in_bytes: 32 * 1024 * 1024}};
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', script], {linux}));
	const ended = await until(
		'the container ends',
		() => statusOf(daemon.cri, id),
		({state}) => state === EXITED,
	);
	t.like(ended, {exit_code: 5, reason: 'OOMKilled'});
});
