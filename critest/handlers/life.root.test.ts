import {readdir, readFile, writeFile, mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createContainer, pullBusybox, readMessages, removePod, runContainer, runPodBy, statusOf, toContainerConfig, until, type Pod} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {execute, EXITED, exitOf, HANDLERS, MODE, nameOf, RUNNING, RUNTIME} from './handlers.js';

const running = useDaemon(test, {runtime: RUNTIME});
/** CRI v1: Signal. */
const SIGUSR1 = 29;
const MIB = 1024 * 1024;

for (const handler of HANDLERS) {
	const name = nameOf(handler);

	test.serial(`${name}: created, running, exited: states, times, exit codes, logs in order`, async t => {
		const {daemon} = running();
		const {cri} = daemon;
		await pullBusybox(cri);
		const pod = await runPodBy(daemon, handler, {name: `life-${name}`});
		const id = await createContainer(cri, pod, toContainerConfig('c', ['sh', '-c', 'seq 1 2000; echo err >&2; exit 9']));
		const created = await statusOf(cri, id);
		t.like(created, {state: 0, started_at: '0'});
		await cri.call('StartContainer', {container_id: id});
		t.deepEqual(await exitOf(daemon, id), {exitCode: 9, reason: 'Error'});
		const ended = await statusOf(cri, id);
		t.true(BigInt(ended.started_at) > BigInt(created.created_at));
		t.true(BigInt(ended.finished_at) >= BigInt(ended.started_at));
		const lines = await readMessages(join(pod.logDirectory, 'c.log'));
		t.deepEqual(
			lines.filter(line => line !== 'err'),
			Array.from({length: 2000}, (_, i) => String(i + 1)),
		);
		t.true((await readFile(join(pod.logDirectory, 'c.log'), 'utf8')).includes(' stderr F err\n'));
		for (const [script, exitCode] of [
			['true', 0],
			['kill -TERM $$', 143],
			['kill -9 $$', 137],
		] as const) {
			const quick = await runContainer(cri, pod, toContainerConfig(`q${exitCode}`, ['sh', '-c', script]));
			t.is((await exitOf(daemon, quick)).exitCode, exitCode, script);
		}
		await removePod(cri, pod);
		t.deepEqual(await daemon.leaks(), []);
	});

	test.serial(`${name}: what cannot be executed fails StartContainer with 127 or 126 and the reason, as natively`, async t => {
		const {daemon} = running();
		const {cri} = daemon;
		await pullBusybox(cri);
		const pod = await runPodBy(daemon, handler, {name: `bad-${name}`});
		const dir = join(daemon.places.scratchDir, 'bad');
		await mkdir(dir, {recursive: true});
		await writeFile(join(dir, 'not-executable'), 'x', {mode: 0o644});
		const mounts = [{host_path: dir, container_path: '/bad'}];
		for (const [index, [command, exitCode, says]] of (
			[
				['no-such-program', 127, /ENOENT/],
				['/no/such/program', 127, /ENOENT/],
				['/bad/not-executable', 126, /EACCES/],
				['/etc', 126, /EACCES/],
			] as const
		).entries()) {
			const id = await createContainer(cri, pod, toContainerConfig(`c${index}`, [command], {mounts}));
			const error = await t.throwsAsync(cri.call('StartContainer', {container_id: id}));
			t.regex(error?.message ?? '', says, command);
			t.regex(error?.message ?? '', /exec/);
			const {exit_code, reason, message} = await statusOf(cri, id);
			t.deepEqual([exit_code, reason], [exitCode, 'StartError'], command);
			t.regex(message, says);
		}
		// Never started, and taken away again: the same as with a process that waits.
		const id = await createContainer(cri, pod, toContainerConfig('never', ['no-such-program']));
		await cri.call('RemoveContainer', {container_id: id});
		await createContainer(cri, pod, toContainerConfig('never', ['no-such-program']));
		await removePod(cri, pod);
	});

	test.serial(`${name}: stop sends the signal, waits, then kills all; a parked container is removed`, async t => {
		const {daemon} = running();
		const {cri} = daemon;
		await pullBusybox(cri);
		const pod = await runPodBy(daemon, handler, {name: `stop-${name}`});
		const obedient = toContainerConfig('obeys', ['sh', '-c', 'trap "echo got it; exit 5" USR1; echo ready; while :; do usleep 10000; done'], {
			stop_signal: SIGUSR1,
		});
		const first = await runContainer(cri, pod, obedient);
		await untilReady(pod, 'obeys.log');
		await cri.call('StopContainer', {container_id: first, timeout: 60});
		t.is((await exitOf(daemon, first)).exitCode, 5);
		t.deepEqual(await readMessages(join(pod.logDirectory, 'obeys.log')), ['ready', 'got it']);
		const second = await runContainer(cri, pod, toContainerConfig('deaf', ['sh', '-c', 'trap "" TERM; echo ready; sleep 1000 & sleep 1000']));
		await untilReady(pod, 'deaf.log');
		await cri.call('StopContainer', {container_id: second, timeout: 1});
		t.is((await exitOf(daemon, second)).exitCode, 137);
		const parked = await createContainer(cri, pod, toContainerConfig('parked', ['true']));
		await cri.call('RemoveContainer', {container_id: parked});
		const killed = await createContainer(cri, pod, toContainerConfig('killed', ['true']));
		process.kill(JSON.parse((await cri.call('ContainerStatus', {container_id: killed, verbose: true})).info['info'] ?? '').pid as number, 'SIGKILL');
		t.is((await exitOf(daemon, killed)).exitCode, 137);
		t.regex((await t.throwsAsync(cri.call('StartContainer', {container_id: killed})))?.message ?? '', /FAILED_PRECONDITION/);
		await removePod(cri, pod);
	});

	test.serial(`${name}: limits are in the container's cgroup, statistics are read from it, and the OOM killer is told of`, async t => {
		const {daemon} = running();
		const {cri} = daemon;
		await pullBusybox(cri);
		const pod = await runPodBy(daemon, handler, {name: `oom-${name}`});
		const resources = {
			memory_limit_in_bytes: String(20 * MIB),
			cpu_shares: '512',
			cpu_period: '50000',
			cpu_quota: '20000',
			oom_score_adj: '321',
			unified: {'pids.max': '50'},
		};
		const ownPids = {namespace_options: {pid: MODE.CONTAINER}};
		const config = toContainerConfig('c', ['sh', '-c', 'sleep 1000'], {linux: {resources, security_context: ownPids}} as never);
		const id = await runContainer(cri, pod, config);
		const v1 = 'memory/memory.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us pids/pids.max';
		const read = `cd /sys/fs/cgroup; if [ -e memory.max ]; then cat memory.max cpu.max pids.max; else cat ${v1}; fi`;
		const limits = await execute(daemon, id, read);
		const onV2 = limits.length === 3;
		t.deepEqual(limits, onV2 ? [String(20 * MIB), '20000 50000', '50'] : [String(20 * MIB), '512', '20000', '50']);
		t.deepEqual(await execute(daemon, id, 'cat /proc/1/oom_score_adj /proc/self/oom_score_adj'), ['321', '321']);
		const {stats} = await cri.call('ContainerStats', {container_id: id});
		t.true(BigInt(stats?.memory?.usage_bytes?.value ?? 0) > 0n);
		const greedy = toContainerConfig('d', ['sh', '-c', 'dd if=/dev/zero of=/dev/null bs=100M count=1'], {linux: {resources}} as never);
		t.deepEqual(await exitOf(daemon, await runContainer(cri, pod, greedy)), {exitCode: 137, reason: 'OOMKilled'});
		await removePod(cri, pod);
	});

	test.serial(`${name}: kill -9 of the daemon while containers run, end and are made: nothing is lost, nothing is left`, async t => {
		const {daemon} = running();
		const {cri} = daemon;
		await pullBusybox(cri);
		const pod = await runPodBy(daemon, handler, {name: `crash-${name}`});
		const gate = join(daemon.places.scratchDir, `gate-${name}`);
		await mkdir(gate);
		const mounts = [{host_path: gate, container_path: '/gate'}];
		const counter = await runContainer(
			cri,
			pod,
			toContainerConfig('counter', ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; usleep 2000; done'], {stop_signal: 9}),
		);
		const ender = await runContainer(cri, pod, toContainerConfig('ender', ['sh', '-c', 'while [ ! -e /gate/open ]; do usleep 20000; done; exit 37'], {mounts}));
		const parked = await createContainer(cri, pod, toContainerConfig('parked', ['sh', '-c', 'exit 11']));
		const cut = createContainer(cri, pod, toContainerConfig('cut', ['true'])).catch((error: unknown) => error);
		await until(
			'the cut one is begun',
			() => countBundles(daemon.places.runDir, pod.id, handler),
			count => handler === '' || count === 4,
		);
		await daemon.kill();
		await writeFile(join(gate, 'open'), '');
		await cut;
		await daemon.start();
		t.is((await statusOf(cri, counter)).state, RUNNING);
		t.is((await exitOf(daemon, ender)).exitCode, 37);
		await cri.call('StartContainer', {container_id: parked});
		t.is((await exitOf(daemon, parked)).exitCode, 11);
		t.deepEqual(await execute(daemon, counter, 'echo served'), ['served']);
		await createContainer(cri, pod, toContainerConfig('cut', ['true']));
		await cri.call('StopContainer', {container_id: counter, timeout: 0});
		const numbers = (await readMessages(join(pod.logDirectory, 'counter.log'))).map(Number);
		t.deepEqual(
			numbers,
			Array.from({length: numbers.length}, (_, i) => i + 1),
		);
		await removePod(cri, pod);
		t.deepEqual(await daemon.leaks(), []);
	});

	test.serial(`${name}: a monitor that is killed takes its containers with it, and the pod is removed whole`, async t => {
		const {daemon} = running();
		const {cri} = daemon;
		await pullBusybox(cri);
		const pod = await runPodBy(daemon, handler, {name: `lost-${name}`});
		const id = await runContainer(cri, pod, toContainerConfig('c', ['sleep', '1000']));
		const {info} = await cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id, verbose: true});
		process.kill(JSON.parse(info['info'] ?? '').pid as number, 'SIGKILL');
		await until(
			'the container is known to have ended',
			() => statusOf(cri, id),
			({state}) => state === EXITED,
		);
		await removePod(cri, pod);
		t.deepEqual(await daemon.leaks(), []);
	});
}

async function untilReady(pod: Pod, log: string): Promise<void> {
	await until(
		'it is ready',
		() => readMessages(join(pod.logDirectory, log)),
		lines => lines.includes('ready'),
	);
}

/** Bundles of OCI runtimes; 0 natively. */
async function countBundles(runDir: string, sandboxId: string, handler: string): Promise<number> {
	return handler === '' ? 0 : (await readdir(join(runDir, 'pods', sandboxId, 'oci'))).length;
}
