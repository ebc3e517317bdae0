import {spawn, type ChildProcess} from 'node:child_process';
import {mkdtemp, rm, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {text} from 'node:stream/consumers';
import test, {type ExecutionContext} from 'ava';
import {systemClock} from '../base/clock.js';
import {patientMs} from '../base/test-patience.js';
import {AlreadyExistsError, CancelledError, SyscallError, UnavailableError} from '../base/errors.js';
import {addon} from './addon.js';
import {Connection} from './connection.js';
import {FakePeer} from './fake-peer.js';
import {MonitorClient} from './monitor-client.js';
import type {ExecRequest, ExitRecord, LaunchSpec, ProcessSpec} from './native.js';
import {BodyReader, BodyWriter, type Header} from './protocol.js';
import {HEADER_FLAG, MESSAGE, PHASE, TAG} from './protocol-numbers.js';

/** A monitor whose execs are plain children of this process. */
class FakeMonitorPeer extends FakePeer {
	readonly execs = new Map<string, ChildProcess>();
	readonly requests: {readonly header: Header; readonly body: BodyReader; readonly fds: readonly number[]}[] = [];
	override answer = (header: Header, inline: Buffer, fds: number[]): void => {
		const body = new BodyReader(inline);
		this.requests.push({header, body, fds});
		const custom = this.replies.get(header.type);
		if (custom !== undefined) custom(header, fds);
		else if (header.type === MESSAGE.EXEC) this.#exec(header, body, fds);
		else {
			if (header.type === MESSAGE.EXEC_KILL) this.execs.get(body.string(TAG.EXEC_ID))?.kill('SIGKILL');
			addon.closeFds(fds);
			this.reply(header, new BodyWriter());
		}
	};
	readonly replies = new Map<number, (header: Header, fds: readonly number[]) => void>();

	#exec(header: Header, body: BodyReader, fds: number[]): void {
		const execId = body.string(TAG.EXEC_ID);
		const stdio = [TAG.STDIN_FD, TAG.STDOUT_FD, TAG.STDERR_FD].map(tag => (body.has(tag) ? fds[body.u32(tag)]! : ('ignore' as const)));
		const child = spawn('/bin/sh', ['-c', body.groups(TAG.PROCESS)[0]!.string(TAG.ARG)], {stdio});
		addon.closeFds(fds);
		this.execs.set(execId, child);
		this.reply(header, new BodyWriter().u32(TAG.PID, child.pid!));
		child.on('exit', (code, signal) => {
			const event = new BodyWriter()
				.string(TAG.EXEC_ID, execId)
				.string(TAG.CONTAINER_ID, 'c')
				.u32(TAG.EXIT_CODE, signal === null ? code! : 137);
			this.send({type: MESSAGE.EVENT_EXEC_EXITED, requestId: 0, status: 0, flags: HEADER_FLAG.EVENT}, event.finish());
		});
	}
}

async function openMonitor(
	t: ExecutionContext,
): Promise<{monitor: MonitorClient; peer: FakeMonitorPeer; exits: [string, string, ExitRecord][]; forgotten: () => number}> {
	const peer = new FakeMonitorPeer();
	const exits: [string, string, ExitRecord][] = [];
	let forgotten = 0;
	const parts = {
		sandboxId: 'pod',
		clock: systemClock,
		events: {onExit: (...exit: [string, string, ExitRecord]) => void exits.push(exit)},
		forgetPod: async () => void forgotten++,
		onDestroyed() {},
	};
	const monitor = await MonitorClient.over(parts, async (name, events) => await Connection.over(name, peer.near, events));
	t.teardown(() => {
		monitor.close();
		peer.channel.close();
		for (const child of peer.execs.values()) child.kill('SIGKILL');
	});
	return {monitor, peer, exits, forgotten: () => forgotten};
}

const plainProcess: ProcessSpec = {
	args: [],
	env: [],
	cwd: '/',
	user: {spec: '', uid: null, gid: null, supplementalGids: [], groupsPolicy: 'merge'},
	capabilities: {bounding: 0n, effective: 0n, permitted: 0n, inheritable: 0n, ambient: 0n},
	noNewPrivileges: false,
	rlimits: [],
	oomScoreAdj: null,
	seccomp: null,
	tty: false,
	apparmorProfile: null,
	selinuxLabel: null,
};
const execOf = (script: string, execId = 'e1'): ExecRequest => ({containerId: 'c', execId, process: {...plainProcess, args: [script]}, cgroupJoin: []});
const limits = {timeoutMs: 0, maxOutputBytes: 1 << 20};
const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test('execSync: outputs and exit code', async t => {
	const {monitor} = await openMonitor(t);
	const {exitCode, stdout, stderr, truncated, timedOut} = await monitor.execSync(execOf('echo out; echo err >&2; exit 5'), limits, null);
	t.deepEqual([exitCode, utf8(stdout), utf8(stderr), truncated, timedOut], [5, 'out\n', 'err\n', false, false]);
});

test('execSync: what was written before the end is whole, however much', async t => {
	const {monitor} = await openMonitor(t);
	const {stdout} = await monitor.execSync(execOf('seq 200000'), {...limits, maxOutputBytes: 4 << 20}, null);
	t.is(utf8(stdout).trimEnd().split('\n').length, 200_000);
});

test('execSync: the output is cut at maxOutputBytes and the command runs to its end', async t => {
	const {monitor} = await openMonitor(t);
	const {exitCode, stdout, truncated} = await monitor.execSync(execOf('head -c 1000000 /dev/zero; exit 3'), {...limits, maxOutputBytes: 1000}, null);
	t.deepEqual([exitCode, stdout.length, truncated], [3, 1000, true]);
});

test('execSync: at the timeout it is killed, with what it had written', async t => {
	const {monitor, peer} = await openMonitor(t);
	const {exitCode, stdout, timedOut} = await monitor.execSync(execOf('echo before; exec sleep 100'), {...limits, timeoutMs: patientMs(200)}, null);
	t.deepEqual([exitCode, utf8(stdout), timedOut], [137, 'before\n', true]);
	t.is(peer.execs.get('e1')!.signalCode, 'SIGKILL');
});

test('execSync: a background child that holds the pipes does not delay it', async t => {
	const {monitor} = await openMonitor(t);
	const beganMs = systemClock.monotonicMs();
	const {stdout} = await monitor.execSync(execOf('sleep 30 & echo $!'), limits, null);
	t.true(systemClock.monotonicMs() - beganMs < patientMs(5000));
	process.kill(Number(utf8(stdout)), 'SIGKILL');
});

test('execSync: an aborted one is killed and CancelledError', async t => {
	const {monitor, peer} = await openMonitor(t);
	const abort = new AbortController();
	const running = monitor.execSync(execOf('exec sleep 100'), limits, abort.signal);
	while (peer.execs.size === 0) await systemClock.sleep(2);
	abort.abort();
	await t.throwsAsync(running, {instanceOf: CancelledError});
	t.is(peer.execs.get('e1')!.signalCode, 'SIGKILL');
	await t.throwsAsync(monitor.execSync(execOf('true'), limits, abort.signal), {instanceOf: CancelledError});
});

test('execSync: a command that cannot be executed is a SyscallError, and its id is free again', async t => {
	const {monitor, peer} = await openMonitor(t);
	peer.replies.set(MESSAGE.EXEC, (header, fds) => {
		addon.closeFds(fds);
		peer.reply(header, new BodyWriter().string(TAG.ERROR_STAGE, 'exec').string(TAG.ERROR_PATH, '/none'), 2);
	});
	for (let i = 0; i < 2; i++) await t.throwsAsync(monitor.execSync(execOf('x'), limits, null), {instanceOf: SyscallError, message: /^exec \/none/});
});

test('two execs of one id at once are refused; a lost monitor fails both kinds', async t => {
	const {monitor, peer} = await openMonitor(t);
	const first = monitor.execSync(execOf('sleep 100'), limits, null);
	await t.throwsAsync(monitor.execSync(execOf('true'), limits, null), {instanceOf: AlreadyExistsError});
	const session = await monitor.exec({...execOf('sleep 100', 'e2'), stdin: false});
	peer.channel.close();
	await t.throwsAsync(first, {instanceOf: UnavailableError});
	await t.throwsAsync(session.exited, {instanceOf: UnavailableError});
	await t.throwsAsync(monitor.startContainer('c'), {instanceOf: UnavailableError});
});

test('exec: streams both ways; the end of stdin reaches the command', async t => {
	const {monitor} = await openMonitor(t);
	const session = await monitor.exec({...execOf('tr a-z A-Z; echo done >&2; exit 4'), stdin: true});
	const output = text(session.stdout);
	const errors = text(session.stderr!);
	const long = 'abc'.repeat(200_000);
	session.stdin!.end(long);
	t.deepEqual([await output, await errors, await session.exited], [long.toUpperCase(), 'done\n', 4]);
});

test('exec: stdout that nobody reads holds the command up, and the rest comes when somebody does', async t => {
	const {monitor, peer} = await openMonitor(t);
	const session = await monitor.exec({...execOf('head -c 2000000 /dev/zero'), stdin: false});
	session.stderr!.resume();
	await systemClock.sleep(300);
	t.is(peer.execs.get('e1')!.exitCode, null);
	let bytes = 0;
	for await (const chunk of session.stdout) bytes += (chunk as Buffer).length;
	t.is(bytes, 2_000_000);
	t.is(await session.exited, 0);
});

test('exec: kill ends it; a stdin that breaks does not end this process', async t => {
	const {monitor} = await openMonitor(t);
	const session = await monitor.exec({...execOf('exec 0<&-; exec sleep 100'), stdin: true});
	session.stdin!.write('x'.repeat(500_000));
	session.resize(80, 24);
	await systemClock.sleep(50);
	session.kill();
	t.is(await session.exited, 137);
	t.is(await text(session.stdout), '');
});

test('exits come up, list has every phase, a lost monitor is destroyed by the launcher', async t => {
	const {monitor, peer, exits, forgotten} = await openMonitor(t);
	const exited = new BodyWriter().string(TAG.CONTAINER_ID, 'c').u32(TAG.EXIT_CODE, 9).u64(TAG.FINISHED_AT_NS, 77n).bool(TAG.OOM_KILLED, true);
	peer.send({type: MESSAGE.EVENT_EXITED, requestId: 0, status: 0, flags: HEADER_FLAG.EVENT}, exited.finish());
	peer.replies.set(MESSAGE.LIST, header => {
		const list = new BodyWriter();
		for (const [id, phase] of [
			['a', PHASE.CREATED],
			['b', PHASE.RUNNING],
			['c', PHASE.EXITED],
		] as const) {
			list.group(TAG.CONTAINER, it => {
				it.string(TAG.CONTAINER_ID, id).u32(TAG.PID, 5).u32(TAG.PHASE, phase).u64(TAG.STARTED_AT_NS, 1n);
				if (phase === PHASE.EXITED) it.u32(TAG.EXIT_CODE, 9).u64(TAG.FINISHED_AT_NS, 77n).bool(TAG.OOM_KILLED, true);
			});
		}
		peer.reply(header, list);
	});
	const exit = {exitCode: 9, finishedAtNs: 77n, oomKilled: true};
	t.deepEqual(
		(await monitor.list()).map(it => [it.containerId, it.phase, it.exit]),
		[
			['a', 'created', null],
			['b', 'running', null],
			['c', 'exited', exit],
		],
	);
	t.deepEqual(exits, [['pod', 'c', exit]]);
	peer.channel.close();
	await monitor.destroy();
	await monitor.destroy();
	t.is(forgotten(), 2);
});

const cgroup = {dirs: ['/sys/fs/cgroup/x'], writes: [{path: '/sys/fs/cgroup/x/cpu.max', value: 'max', required: true}], join: ['/sys/fs/cgroup/x']};
const launch: LaunchSpec = {
	containerId: 'c',
	namespaces: {pid: {pid: 12}, cgroup: 'new'},
	cgroup,
	rootfs: {lowerDirs: ['/l1', '/l2'], upperDir: '/u', workDir: '/w', readonly: true, propagation: 'slave'},
	mounts: [
		{kind: 'filesystem', fstype: 'proc', target: '/proc', flags: 14, data: ''},
		{
			kind: 'bind',
			source: '/etc',
			target: '/mnt/etc',
			recursive: false,
			readonly: true,
			recursiveReadOnly: false,
			noexec: true,
			nosuid: true,
			nodev: true,
			idMapped: true,
			idMaps: null,
			propagation: 'private',
		},
		{
			kind: 'bind',
			source: '/usr',
			target: '/mnt/usr',
			recursive: true,
			readonly: false,
			recursiveReadOnly: false,
			noexec: false,
			nosuid: false,
			nodev: false,
			idMapped: false,
			idMaps: null,
			propagation: 'shared',
		},
	],
	devices: [],
	symlinks: [['/dev/fd', '/proc/self/fd']],
	maskedPaths: ['/proc/kcore'],
	readonlyPaths: ['/proc/sys'],
	process: plainProcess,
	log: null,
	stdin: 'null',
	volumeDirs: ['/data'],
	timeOffsets: null,
	mountLabel: null,
};

test('createContainer sends detached mounts of the sources and the log directory, and closes its own', async t => {
	const {monitor, peer} = await openMonitor(t);
	const logDir = await mkdtemp(path.join(tmpdir(), 'berth-log-'));
	t.teardown(async () => await rm(logDir, {recursive: true}));
	const inodes: Promise<number>[] = [];
	peer.replies.set(MESSAGE.CREATE_CONTAINER, (header, fds) => {
		for (const fd of fds) inodes.push(stat(`/proc/self/fd/${fd}/.`).then(it => it.ino));
		void Promise.all(inodes).then(() => {
			addon.closeFds(fds);
			peer.reply(header, new BodyWriter().u32(TAG.PID, 9).u32(TAG.UID, 1).u32(TAG.GID, 2).u32(TAG.SUPPLEMENTAL_GID, 3).u32(TAG.SUPPLEMENTAL_GID, 4));
		});
	});
	const created = await monitor.createContainer({...launch, log: {path: `${logDir}/0.log`, maxLineBytes: 100}});
	t.deepEqual(created, {pid: 9, user: {uid: 1, gid: 2, supplementalGids: [3, 4]}});
	t.deepEqual(await Promise.all(inodes), await Promise.all(['/etc', '/usr', logDir].map(async dir => (await stat(dir)).ino)));
	const {body} = peer.requests.at(-1)!;
	t.deepEqual(
		body.groups(TAG.MOUNT).map(it => [it.string(TAG.TARGET), it.u32(TAG.MOUNT_FD, 99)]),
		[
			['/proc', 99],
			['/mnt/etc', 0],
			['/mnt/usr', 1],
		],
	);
	t.deepEqual([body.groups(TAG.LOG)[0]!.u32(TAG.LOG_DIR_FD), body.groups(TAG.LOG)[0]!.string(TAG.NAME)], [2, '0.log']);
	t.is(body.u32(TAG.TARGET_PID), 12);
});

test('createContainer names a mount source that is missing and sends nothing', async t => {
	const {monitor, peer} = await openMonitor(t);
	const mounts = launch.mounts.map(mount => (mount.kind === 'bind' && mount.recursive ? {...mount, source: '/no/such'} : mount));
	const error = await t.throwsAsync(monitor.createContainer({...launch, mounts}), {instanceOf: SyscallError});
	t.deepEqual(error.details, {stage: 'open mount source', errno: 2, path: '/no/such'});
	t.is(peer.requests.length, 0);
});
