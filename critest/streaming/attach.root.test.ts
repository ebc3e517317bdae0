import {open, readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {ContainerConfig, NamespaceMode, PodSandboxConfig} from '../../proto/cri.js';
import {CrictlSession} from '../rig/crictl-session.js';
import type {Daemon} from '../rig/daemon.js';
import {listRunProcesses} from '../rig/leaks.js';
import {createContainer, pullBusybox, readMessages, removePod, runContainer, runPod, statusOf, toContainerConfig, until, type Pod} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
/** CRI v1: ContainerState. */
const STATE = {CREATED: 0, RUNNING: 1, EXITED: 2} as const;
const CONTAINER = 1 as NamespaceMode;
const POD = 0 as NamespaceMode;

/** Runs `script` in a pod of its own. */
async function inPod(
	name: string,
	script: string,
	config: Partial<ContainerConfig>,
	podConfig: Partial<PodSandboxConfig> = {},
): Promise<{readonly pod: Pod; readonly id: string}> {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, name, podConfig);
	return {pod, id: await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', script], {stop_signal: 9, ...config}))};
}

const logOf = (pod: Pod): Promise<readonly string[]> => readMessages(join(pod.logDirectory, 'c.log'));

async function exited(id: string): Promise<number> {
	const {exit_code} = await until(
		'the container ends',
		() => statusOf(running().daemon.cri, id),
		({state}) => state === STATE.EXITED,
	);
	return exit_code;
}

/** The one monitor of the daemon's one pod. */
async function monitorPid(daemon: Daemon): Promise<number> {
	const pids: number[] = [];
	for (const pid of (await listRunProcesses(daemon.places)).keys()) {
		if ((await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')) === 'berth-monitor\n') pids.push(pid);
	}
	if (pids.length !== 1) throw new Error(`${pids.length} monitors`);
	return pids[0] ?? 0;
}

async function residentKiB(pid: number): Promise<number> {
	return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

test.serial('crictl attach -i: input and both outputs; without stdin_once the end of the input ends the session and nothing else', async t => {
	const {daemon} = running();
	const {pod, id} = await inPod('input', 'echo before; while read x; do echo "got $x"; echo "no $x" >&2; done; echo closed', {stdin: true});
	await until(
		'it waits',
		() => logOf(pod),
		lines => lines.length === 1,
	);
	for (const word of ['one', 'two']) {
		await using session = CrictlSession.open(daemon, ['attach', '-i', id]);
		session.write(`${word}\n`);
		await session.saw(`got ${word}\n`);
		await until(
			'stderr',
			async () => session.stderr,
			text => text.includes(`no ${word}\n`),
		);
		t.is(session.stdout, `got ${word}\n`, 'nothing of before is seen');
		session.endInput();
		t.is(await session.ended(), 0);
	}
	t.is((await statusOf(daemon.cri, id)).state, STATE.RUNNING);
	t.deepEqual([...(await logOf(pod))].sort(), ['before', 'got one', 'got two', 'no one', 'no two']);
	await removePod(daemon.cri, pod);
});

test.serial("stdin_once: the end of the input is the end of the container's; what it writes then still comes, and its exit is no error of attach", async t => {
	const {daemon} = running();
	const {pod, id} = await inPod('once', 'cat; sleep 0.2; echo closed; exit 3', {stdin: true, stdin_once: true});
	await using session = CrictlSession.open(daemon, ['attach', '-i', id]);
	session.write('data\n');
	await session.saw('data\n');
	session.endInput();
	t.is(await session.ended(), 0, session.stderr);
	t.is(session.stdout, 'data\nclosed\n');
	t.is(await exited(id), 3);
	await removePod(daemon.cri, pod);
});

test.serial('stdin_once: a client that is killed ends the input too; until one comes the program waits', async t => {
	const {daemon} = running();
	const {pod, id} = await inPod('once-killed', 'cat; echo closed; exit 4', {stdin: true, stdin_once: true});
	const {stdout} = await daemon.cri.call('ExecSync', {container_id: id, cmd: ['sh', '-c', 'sleep 0.5; ps | grep -c " cat$"']});
	t.is(Buffer.from(stdout).toString(), '1\n', 'no end of input without a client');
	await using onlooker = CrictlSession.open(daemon, ['attach', id]);
	await using session = CrictlSession.open(daemon, ['attach', '-i', id]);
	session.write('data\n');
	await session.saw('data\n');
	await onlooker.saw('data\n');
	session.signal('SIGKILL');
	t.is(await onlooker.ended(), 0);
	t.is(onlooker.stdout, 'data\nclosed\n');
	t.is(await exited(id), 4);
	await removePod(daemon.cri, pod);
});

test.serial('crictl attach -it: the size of its terminal, typing, and again after the client was killed; ^C reaches the program', async t => {
	const {daemon} = running();
	const script = 'trap "echo caught; exit 5" INT; stty -echo; while :; do read x && echo "got $x on $(tty), $(stty size)"; done';
	const {pod, id} = await inPod('terminal', script, {stdin: true, tty: true});
	for (const [columns, rows] of [
		[101, 31],
		[77, 22],
	] as const) {
		await using session = CrictlSession.openOnTerminal(daemon, ['attach', '-i', '-t', id], {columns, rows});
		await sizeIs(daemon, id, `${rows} ${columns}`);
		session.write('word\r');
		await session.saw(`got word on /dev/pts/0, ${rows} ${columns}\r\n`);
		session.signal('SIGKILL');
		await session.ended();
		t.is((await statusOf(daemon.cri, id)).state, STATE.RUNNING);
	}
	await using session = CrictlSession.openOnTerminal(daemon, ['attach', '-i', '-t', id], {columns: 80, rows: 24});
	await sizeIs(daemon, id, '24 80');
	session.write('\x03');
	await session.saw('caught');
	t.is(await session.ended(), 0);
	t.is(await exited(id), 5);
	t.deepEqual(await logOf(pod), ['got word on /dev/pts/0, 31 101\r', 'got word on /dev/pts/0, 22 77\r', 'caught\r']);
	await removePod(daemon.cri, pod);
});

/** The client tells its size once it is attached. */
async function sizeIs(daemon: Daemon, id: string, wanted: string): Promise<void> {
	const ask = async (): Promise<string> => {
		const {stdout} = await daemon.cri.call('ExecSync', {container_id: id, cmd: ['sh', '-c', 'stty size < /dev/console']});
		return Buffer.from(stdout).toString().trim();
	};
	await until(`the terminal's size is ${wanted}`, ask, size => size === wanted);
}

test.serial('a pod in a user namespace: terminal and stdin, as a user that is not root', async t => {
	const {daemon} = running();
	const userns_options = {
		mode: POD,
		uids: [{host_id: 1_000_000, container_id: 0, length: 65_536}],
		gids: [{host_id: 2_000_000, container_id: 0, length: 65_536}],
	};
	const podConfig = {linux: {security_context: {namespace_options: {network: POD, pid: CONTAINER, userns_options}}}};
	const linux = {security_context: {run_as_user: {value: '1000'}}};
	const {pod, id} = await inPod(
		'mapped',
		'stty -echo; while read x; do echo "got $x as $(id -u) on $(tty)" > /dev/tty; done',
		{stdin: true, tty: true, linux},
		podConfig,
	);
	{
		await using session = CrictlSession.openOnTerminal(daemon, ['attach', '-i', '-t', id], {columns: 90, rows: 20});
		await sizeIs(daemon, id, '20 90');
		session.write('word\r');
		await session.saw('got word as 1000 on /dev/pts/0\r\n');
	}
	const plain = await runContainer(
		daemon.cri,
		pod,
		toContainerConfig('plain', ['sh', '-c', 'cat; cat /dev/stdin; echo closed > /dev/stderr'], {stdin: true, stdin_once: true, linux}),
	);
	await using session = CrictlSession.open(daemon, ['attach', '-i', plain]);
	session.write('data\n');
	await session.saw('data\n');
	session.endInput();
	t.is(await session.ended(), 0);
	t.is(session.stderr, 'closed\n');
	await removePod(daemon.cri, pod);
});

test.serial('twenty clients at once each get all that is written from then on, and leave nothing in monitor and daemon', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'many');
	const id = await createContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', 'read x; seq 20000; read x'], {stdin: true}));
	const monitor = await monitorPid(daemon);
	const openBefore = await countFds([monitor, daemon.pid()]);
	const sessions = Array.from({length: 20}, () => CrictlSession.open(daemon, ['attach', id]));
	await until(
		'all are attached',
		() => countFds([monitor]),
		count => count >= 40,
	);
	await daemon.cri.call('StartContainer', {container_id: id});
	{
		await using starter = CrictlSession.open(daemon, ['attach', '-i', id]);
		starter.write('go\n');
		await starter.saw('20000\n');
	}
	const wanted = Array.from({length: 20_000}, (_, i) => `${i + 1}\n`).join('');
	for (const session of sessions) {
		await session.saw('\n20000\n');
		t.is(session.stdout, wanted);
		await session[Symbol.asyncDispose]();
	}
	t.is((await statusOf(daemon.cri, id)).state, STATE.RUNNING);
	await until(
		'nothing of theirs is open',
		() => countFds([monitor, daemon.pid()]),
		count => count <= openBefore,
	);
	await removePod(daemon.cri, pod);
	t.pass();
});

async function countFds(pids: readonly number[]): Promise<number> {
	const lists = await Promise.all(pids.map(pid => readdir(`/proc/${pid}/fd`)));
	return lists.flat().length;
}

test.serial(
	'a client that is stopped while 200 MB are written: the container ends, the log is whole, monitor and daemon do not grow; then it gets all of it',
	async t => {
		const {daemon} = running();
		// 200,000 lines of 1,024 bytes.
		const script = 'read x; line=$(printf "%01023d" 7); yes "$line" | head -c 204800000; echo done; read x';
		const {pod, id} = await inPod('stopped', script, {stdin: true});
		const monitor = await monitorPid(daemon);
		await using stopped = CrictlSession.open(daemon, ['attach', '-i', id]);
		stopped.write('go\n');
		await stopped.saw('7\n');
		stopped.signal('SIGSTOP');
		const memoryBefore = [await residentKiB(monitor), await residentKiB(daemon.pid())] as const;
		const log = join(pod.logDirectory, 'c.log');
		await until(
			'all is logged',
			() => readTail(log, 6),
			end => end === ' done\n',
			120_000,
		);
		const lines = await countLines(log);
		t.is(lines, 200_001);
		t.true((await residentKiB(monitor)) - memoryBefore[0] < 1024, 'the monitor');
		t.true((await residentKiB(daemon.pid())) - memoryBefore[1] < 64 * 1024, 'the daemon');
		// Another client is served meanwhile, and ends the container.
		await using other = CrictlSession.open(daemon, ['attach', '-i', id]);
		other.write('end\n');
		t.is(await exited(id), 0);
		t.is(await other.ended(), 0);
		stopped.signal('SIGCONT');
		t.is(await stopped.ended(120_000), 0, stopped.stderr);
		t.is(stopped.stdout.length, 204_800_000 + 'done\n'.length);
		await removePod(daemon.cri, pod);
	},
);

async function readTail(path: string, bytes: number): Promise<string> {
	await using file = await open(path);
	const {size} = await file.stat();
	const {buffer, bytesRead} = await file.read(Buffer.alloc(bytes), 0, bytes, Math.max(0, size - bytes));
	return buffer.toString('latin1', 0, bytesRead);
}

async function countLines(path: string): Promise<number> {
	const bytes = await readFile(path);
	let lines = 0;
	for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
	return lines;
}

test.serial('kill -9 of the daemon while clients are attached: the containers go on, and one attaches again', async t => {
	const {daemon} = running();
	const {pod, id} = await inPod('killed', 'while read x; do echo "got $x"; done; echo closed', {stdin: true});
	const terminal = await runContainer(
		daemon.cri,
		pod,
		toContainerConfig('terminal', ['sh', '-c', 'stty -echo; while read x; do echo "got $x"; done'], {stdin: true, tty: true, stop_signal: 9}),
	);
	const talk = async (word: string): Promise<AsyncDisposable[]> => {
		const session = CrictlSession.open(daemon, ['attach', '-i', id]);
		const onTerminal = CrictlSession.openOnTerminal(daemon, ['attach', '-i', '-t', terminal], {columns: 80, rows: 24});
		session.write(`${word}\n`);
		await session.saw(`got ${word}\n`);
		await sizeIs(daemon, terminal, '24 80');
		onTerminal.write(`${word}\r`);
		await onTerminal.saw(`got ${word}\r\n`);
		return [session, onTerminal];
	};
	const before = await talk('before');
	await daemon.kill();
	await daemon.start();
	for (const session of before) await session[Symbol.asyncDispose]();
	const after = await talk('after');
	for (const session of after) await session[Symbol.asyncDispose]();
	t.deepEqual(await logOf(pod), ['got before', 'got after']);
	t.deepEqual(await readMessages(join(pod.logDirectory, 'terminal.log')), ['got before\r', 'got after\r']);
	await removePod(daemon.cri, pod);
});

test.serial('what Attach refuses', async t => {
	const {daemon} = running();
	const {pod, id} = await inPod('refusals', 'while :; do echo tick; sleep 0.05; done', {});
	const all = {container_id: id, stdin: false, stdout: true, stderr: true, tty: false};
	const refused = (changes: Partial<typeof all>, code: status, message: RegExp): Promise<void> =>
		assertRefused(t, code, message, daemon.cri.call('Attach', {...all, ...changes}));
	await refused({container_id: ''}, status.INVALID_ARGUMENT, /container_id is empty/);
	await refused({stdout: false, stderr: false}, status.INVALID_ARGUMENT, /one of stdin, stdout and stderr must be set/);
	await refused({tty: true}, status.INVALID_ARGUMENT, /stderr must be false when tty is true/);
	await refused({container_id: 'no-such'}, status.NOT_FOUND, /container "no-such" not found/);
	// Its program has no input: it is attached all the same, and what is sent goes nowhere.
	{
		await using session = CrictlSession.open(daemon, ['attach', '-i', id]);
		session.write('lost\n');
		session.endInput();
		await session.saw('tick\ntick\n');
		await daemon.cri.call('StopContainer', {container_id: id, timeout: '0'});
		t.is(await session.ended(), 0);
	}
	await refused({}, status.FAILED_PRECONDITION, /is exited, must be created or running/);
	await removePod(daemon.cri, pod);
});
