import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import {PROJECT_DIR} from '../fixtures/images.js';
import {isPureV2, MEMORY_LIMIT, readLimit, type LimitFile} from '../rig/cgroup-files.js';
import {run} from '../rig/command.js';
import {TOOLS_DIR} from '../rig/daemon.js';
import {createContainer, pullBusybox, readMessages, removePod, runContainer, runPodBy, statusOf, toContainerConfig, until, type Pod} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';

// containerd's shim for runc speaks the protocol that kata's does.
const running = useDaemon(test, {
	runtime: `[runtime.handlers.shim]\ntype = "shim-v2"\npath = "${join(TOOLS_DIR, 'containerd-shim-runc-v2')}"\noptions = ["binary_name=/usr/sbin/runc"]\n
[runtime.handlers.missing]\ntype = "shim-v2"\npath = "/no/such/containerd-shim-kata-v2"\n`,
});
const [RUNNING, EXITED] = [1, 2];
const NOT_READY = 1;
const PROCESSES: LimitFile = {v1: 'pids/cgroup.procs', v2: 'cgroup.procs'};
const FREEZER: LimitFile = {v1: 'freezer/freezer.state', v2: 'cgroup.freeze'};

async function exitOf(id: string): Promise<Awaited<ReturnType<typeof statusOf>>> {
	const {cri} = running().daemon;
	return await until(
		'the exit',
		() => statusOf(cri, id),
		({state}) => state === EXITED,
	);
}

async function exec(id: string, cmd: readonly string[], timeout = 0): Promise<{readonly exitCode: number; readonly stdout: string; readonly stderr: string}> {
	const {stdout, stderr, exit_code: exitCode} = await running().daemon.cri.call('ExecSync', {container_id: id, cmd: [...cmd], timeout: String(timeout)});
	return {exitCode, stdout: stdout.toString(), stderr: stderr.toString()};
}

async function shimPidOf(pod: Pod): Promise<number> {
	const {daemon} = running();
	return Number(await readLimit(join(daemon.places.cgroupRoot, `pod-${pod.id}`, `shim-${pod.id}`), PROCESSES));
}

test.before(async () => void (await pullBusybox(running().daemon.cri)));

test.serial('a pod by a shim: address, hostname, log, exit code, environment, user, limits; nothing is left', async t => {
	const {daemon} = running();
	const pod = await runPodBy(daemon, 'shim', {name: 'whole', hostname: 'shim-host'});
	const {status: podStatus} = await daemon.cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.is(podStatus?.runtime_handler, 'shim');
	const script = 'hostname; echo $A; id -u; id -G; ls /vol; cat /etc/resolv.conf >/dev/null && echo resolv; ip -4 -o addr show eth0; echo err >&2; exit 7';
	const volume = join(daemon.places.scratchDir, 'shim-volume');
	await writeFile(join(await makeDir(volume), 'there'), '');
	const config = toContainerConfig('c', ['sh', '-c', script], {
		envs: [{key: 'A', value: Buffer.from('b c')}],
		mounts: [{host_path: volume, container_path: '/vol', readonly: true}],
		linux: {
			resources: {memory_limit_in_bytes: String(64 << 20), cpu_shares: '512'},
			security_context: {run_as_user: {value: '1000'}, run_as_group: {value: '1001'}, supplemental_groups: ['2000']},
		},
	});
	const id = await createContainer(daemon.cri, pod, config);
	t.is(await readLimit(join(daemon.places.cgroupRoot, `pod-${pod.id}`, id), MEMORY_LIMIT), String(64 << 20));
	await daemon.cri.call('StartContainer', {container_id: id});
	const ended = await exitOf(id);
	t.is(ended.exit_code, 7);
	t.is(ended.reason, 'Error');
	const messages = await readMessages(join(pod.logDirectory, 'c.log'));
	for (const line of ['shim-host', 'b c', '1000', '1001 2000', 'there', 'resolv', 'err'])
		t.true(messages.includes(line), `${line} in ${JSON.stringify(messages)}`);
	t.true(messages.some(line => line.includes(podStatus?.network?.ip ?? 'no address')));
	await removePod(daemon.cri, pod);
	await rm(volume, {recursive: true});
	t.deepEqual(await daemon.leaks(), []);
});

async function makeDir(path: string): Promise<string> {
	const {mkdir} = await import('node:fs/promises');
	await mkdir(path, {recursive: true});
	return path;
}

test.serial('exec: output, exit code, terminal, input; a timeout kills the command; stop by signal and by force', async t => {
	const {daemon} = running();
	const pod = await runPodBy(daemon, 'shim', {name: 'exec'});
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', 'trap "echo stopping; exit 3" TERM; while :; do sleep 0.1; done']));
	t.deepEqual(await exec(id, ['sh', '-c', 'echo out; echo err >&2; exit 5']), {exitCode: 5, stdout: 'out\n', stderr: 'err\n'});
	await assertRefused(t, status.DEADLINE_EXCEEDED, /timed out/, exec(id, ['sleep', '100'], 1));
	await assertRefused(t, status.INTERNAL, /exec no-such-command: ENOENT/, exec(id, ['no-such-command']));
	const big = await exec(id, ['sh', '-c', 'head -c 1000000 /dev/zero | tr "\\0" x']);
	t.is(big.stdout.length, 1_000_000);
	const crictl = await daemon.crictl(['exec', '-i', id, 'sh', '-c', 'echo by crictl; exit 4']);
	t.is(crictl.stdout, 'by crictl\n');
	t.is(crictl.exitCode, 1);
	await daemon.cri.call('StopContainer', {container_id: id, timeout: '20'});
	t.is((await statusOf(daemon.cri, id)).exit_code, 3);
	t.true((await readMessages(join(pod.logDirectory, 'c.log'))).includes('stopping'));
	const stubborn = await runContainer(daemon.cri, pod, toContainerConfig('stubborn', ['sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done']));
	await daemon.cri.call('StopContainer', {container_id: stubborn, timeout: '1'});
	t.is((await statusOf(daemon.cri, stubborn)).exit_code, 137);
	await removePod(daemon.cri, pod);
	t.deepEqual(await daemon.leaks(), []);
});

test.serial('containers of a pod share what they should: IPC, /dev/shm, network, and PIDs when asked', async t => {
	const {daemon} = running();
	const pod = await runPodBy(daemon, 'shim', {name: 'shared'});
	const first = await runContainer(daemon.cri, pod, toContainerConfig('first', ['sh', '-c', 'echo hello >/dev/shm/note; sleep 1000']));
	const second = await runContainer(daemon.cri, pod, toContainerConfig('second', ['sleep', '1000']));
	const note = await until(
		'the note',
		() => exec(second, ['cat', '/dev/shm/note']),
		({exitCode}) => exitCode === 0,
	);
	t.is(note.stdout, 'hello\n');
	for (const name of ['ipc', 'net', 'uts', 'pid']) {
		const [a, b] = await Promise.all([first, second].map(async id => (await exec(id, ['readlink', `/proc/self/ns/${name}`])).stdout));
		t.is(a, b, name);
	}
	t.regex((await exec(second, ['cat', '/proc/1/cmdline'])).stdout, /pause/);
	await removePod(daemon.cri, pod);
	t.deepEqual(await daemon.leaks(), []);
});

test.serial('kill -9 of the daemon: the container runs on, its log goes on, and its end is known', async t => {
	const {daemon} = running();
	const pod = await runPodBy(daemon, 'shim', {name: 'survivor'});
	const script = 'i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.05; done; exit 9';
	const short = await runContainer(daemon.cri, pod, toContainerConfig('short', ['sh', '-c', script]));
	const long = await runContainer(daemon.cri, pod, toContainerConfig('long', ['sleep', '1000']));
	await daemon.kill();
	await until(
		'the log of the time without a daemon',
		() => readMessages(join(pod.logDirectory, 'short.log')),
		lines => lines.includes('line 59'),
	);
	await daemon.start();
	t.is((await exitOf(short)).exit_code, 9);
	t.deepEqual(
		await readMessages(join(pod.logDirectory, 'short.log')),
		Array.from({length: 60}, (_, i) => `line ${i}`),
	);
	t.true((await statusOf(daemon.cri, long)).state === RUNNING);
	t.is((await exec(long, ['echo', 'again'])).stdout, 'again\n');
	await removePod(daemon.cri, pod);
	t.deepEqual(await daemon.leaks(), []);
});

test.serial('a shim that is killed ends its containers, and the pod can be removed', async t => {
	const {daemon} = running();
	const pod = await runPodBy(daemon, 'shim', {name: 'lost'});
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000']));
	process.kill(await shimPidOf(pod), 'SIGKILL');
	t.is((await exitOf(id)).exit_code, 137);
	await removePod(daemon.cri, pod);
	t.deepEqual(await daemon.leaks(), []);
});

test.serial('a monitor that is killed ends its pod, and nothing of it is left', async t => {
	const {daemon} = running();
	const pod = await runPodBy(daemon, 'shim', {name: 'unwatched'});
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000']));
	const monitors = await readLimit(join(daemon.places.cgroupRoot, 'launcher'), PROCESSES);
	for (const pid of monitors.split('\n')) if ((await readFile(`/proc/${pid}/comm`, 'utf8')).trim() === 'berth-monitor') process.kill(Number(pid), 'SIGKILL');
	t.is((await exitOf(id)).reason, 'Unknown');
	await until(
		'the end of the pod',
		() => daemon.cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id}),
		({status: answer}) => answer?.state === NOT_READY,
	);
	await removePod(daemon.cri, pod);
	t.deepEqual(await daemon.leaks(), []);
});

test.serial("its resources are changed by the shim, and pause and unpause are the shim's", async t => {
	const {daemon} = running();
	const pod = await runPodBy(daemon, 'shim', {name: 'changed'});
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', 'while :; do date >/tmp/now; sleep 0.05; done']));
	await daemon.cri.call('UpdateContainerResources', {container_id: id, linux: {memory_limit_in_bytes: String(96 << 20)}});
	const cgroup = join(daemon.places.cgroupRoot, `pod-${pod.id}`, id);
	t.is(await readLimit(cgroup, MEMORY_LIMIT), String(96 << 20));
	const {resources} = await statusOf(daemon.cri, id);
	t.is(resources?.linux?.memory_limit_in_bytes, String(96 << 20));
	const berth = async (...args: readonly string[]): Promise<number | null> =>
		(await run([join(PROJECT_DIR, 'bin/berth'), ...args, '--socket', daemon.places.socket, id])).exitCode;
	t.is(await berth('pause'), 0);
	t.is(await berth('pause'), 0, 'again');
	const [frozen, thawed] = (await isPureV2()) ? ['1', '0'] : ['FROZEN', 'THAWED'];
	t.is(await readLimit(cgroup, FREEZER), frozen);
	t.is(await berth('unpause'), 0);
	t.is(await readLimit(cgroup, FREEZER), thawed);
	t.is(await berth('pause'), 0);
	await removePod(daemon.cri, pod);
	t.deepEqual(await daemon.leaks(), []);
});

test.serial('out of memory is told as such', async t => {
	const {daemon} = running();
	const pod = await runPodBy(daemon, 'shim', {name: 'oom'});
	const config = toContainerConfig('c', ['sh', '-c', 'x=$(head -c 200000000 /dev/zero | tr "\\0" x); echo ${#x}'], {
		linux: {resources: {memory_limit_in_bytes: String(24 << 20), memory_swap_limit_in_bytes: String(24 << 20)}},
	});
	const ended = await exitOf(await runContainer(daemon.cri, pod, config));
	t.is(ended.reason, 'OOMKilled');
	await removePod(daemon.cri, pod);
});

test.serial('what cannot be executed is told at the start, by 127 or 126', async t => {
	const {daemon} = running();
	const pod = await runPodBy(daemon, 'shim', {name: 'bad'});
	for (const [name, command, exitCode] of [
		['gone', '/no/such/program', 127],
		['dir', '/etc', 126],
	] as const) {
		const id = await createContainer(daemon.cri, pod, toContainerConfig(name, [command]));
		await t.throwsAsync(daemon.cri.call('StartContainer', {container_id: id}));
		t.is((await statusOf(daemon.cri, id)).exit_code, exitCode);
	}
	await removePod(daemon.cri, pod);
	t.deepEqual(await daemon.leaks(), []);
});

test.serial('a shim that is not there refuses its pods with the reason, and Status says so', async t => {
	const {daemon} = running();
	await assertRefused(
		t,
		status.UNAVAILABLE,
		/"missing" cannot be used on this node: .*\/no\/such\/containerd-shim-kata-v2/,
		runPodBy(daemon, 'missing', {name: 'p'}),
	);
	const {status: condition} = await daemon.cri.call('Status', {});
	t.true(condition?.conditions.some(({type, status: holds}) => type === 'RuntimeHandlersReady' && !holds));
	t.deepEqual(await daemon.leaks(), []);
});

test.serial('a shim handler that is taken out of the config: its pods are told of, stopped and removed, and refuse what is new by its name', async t => {
	const {daemon} = running();
	const {cri, places} = daemon;
	const pod = await runPodBy(daemon, 'shim', {name: 'orphan'});
	const dead = await runPodBy(daemon, 'shim', {name: 'dead-orphan'});
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sleep', '1000']));
	await runContainer(cri, dead, toContainerConfig('c', ['sleep', '1000']));
	const shimPid = await shimPidOf(dead);
	const config = await readFile(places.configFile, 'utf8');
	await daemon.stop();
	process.kill(shimPid, 'SIGKILL');
	await writeFile(places.configFile, config.replace(/\[runtime\.handlers\.shim\]\n(?:[a-z_]+ = .*\n)+/, ''));
	await daemon.start();
	const {runtime_handlers: handlers} = await cri.call('Status', {});
	t.false(handlers.some(({name}) => name === 'shim'));
	t.true((await statusOf(cri, id)).state === RUNNING);
	const {status: podStatus} = await cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.like(podStatus, {runtime_handler: 'shim'});
	t.not(podStatus?.state, NOT_READY);
	const refusal = /runtime handler "shim" is not configured any more/;
	await assertRefused(t, status.UNAVAILABLE, refusal, createContainer(cri, pod, toContainerConfig('d', ['true'])));
	await assertRefused(t, status.UNAVAILABLE, refusal, cri.call('ExecSync', {container_id: id, cmd: ['true']}));
	await cri.call('StopContainer', {container_id: id, timeout: '0'});
	t.is((await exitOf(id)).exit_code, 137);
	await cri.call('StopPodSandbox', {pod_sandbox_id: pod.id});
	await cri.call('RemovePodSandbox', {pod_sandbox_id: pod.id});
	await removePod(cri, dead);
	t.deepEqual(await daemon.leaks(), []);
	await daemon.stop();
	await writeFile(places.configFile, config);
	await daemon.start();
});
