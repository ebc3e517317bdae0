import {execFile} from 'node:child_process';
import {readFile, rename, stat, writeFile} from 'node:fs/promises';
import {text} from 'node:stream/consumers';
import {promisify} from 'node:util';
import test from 'ava';
import {systemClock} from '../base/clock.js';
import {FailedError, SyscallError, UnavailableError} from '../base/errors.js';
import {patientMs} from '../base/test-patience.js';
import {LaunchRig, until} from './launch-rig.js';
import type {Monitor} from './native.js';
import {openNative} from './open-native.js';

const run = promisify(execFile);
const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const execLimits = {timeoutMs: 0, maxOutputBytes: 1 << 20};

/** Each test has a launcher of its own, which is gone with all it holds when the test ends. */
function launchTest(title: string, body: (t: import('ava').ExecutionContext, rig: LaunchRig) => Promise<void>): void {
	test(title, async t => {
		await using rig = await LaunchRig.open();
		await body(t, rig);
	});
}

async function start(rig: LaunchRig, monitor: Monitor, script: string): Promise<import('./native.js').LaunchSpec> {
	const spec = await rig.launchSpec(monitor.sandboxId, script);
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	return spec;
}

test('a launcher that is not there, or fails at once, is an error that says so', async t => {
	await using rig = await LaunchRig.open();
	const events = {onExit() {}, onMonitorLost() {}};
	const {openLauncher} = openNative();
	await t.throwsAsync(openLauncher({...rig.options, binaryPath: '/no/such'}, events), {
		instanceOf: FailedError,
		message: /cannot start the launcher \/no\/such/,
	});
	await t.throwsAsync(openLauncher({...rig.options, binaryPath: '/bin/false'}, events), {instanceOf: FailedError, message: /ended with 1/});
});

launchTest('a container is parked, runs, logs and tells its exit code', async (t, rig) => {
	const launcher = await rig.openLauncher();
	const monitor = await launcher.createMonitor(rig.monitorRequest('pod'));
	t.deepEqual(await launcher.listMonitors(), ['pod']);
	t.is((await stat(`/proc/${monitor.pid}/ns/net`)).isFile(), true);
	const spec = await rig.launchSpec('pod', 'hostname; echo $$; echo err >&2; touch /data/x; exit 42');
	const {pid, user} = await monitor.createContainer(spec);
	t.deepEqual(user, {uid: 0, gid: 0, supplementalGids: [...user.supplementalGids]});
	t.deepEqual(
		(await monitor.list()).map(it => [it.containerId, it.pid, it.phase]),
		[[spec.containerId, pid, 'created']],
	);
	t.deepEqual(await rig.cgroupsOf('pod'), [spec.containerId]);
	const beforeNs = systemClock.nowNs();
	const {startedAtNs} = await monitor.startContainer(spec.containerId);
	t.true(startedAtNs > beforeNs - 1_000_000_000n && startedAtNs < beforeNs + 10_000_000_000n);
	const exit = await rig.exitOf(spec.containerId);
	t.is(exit.exitCode, 42);
	t.true(exit.finishedAtNs >= startedAtNs);
	const lines = await until(async () => await rig.logLines(spec.containerId).then(all => (all.length === 3 ? all : null)));
	t.deepEqual(lines.toSorted(), ['1', 'err', 'pod-host']);
	t.deepEqual((await monitor.list())[0]!.exit, exit);
	await monitor.removeContainer(spec.containerId);
	await monitor.removeContainer(spec.containerId);
	t.deepEqual(await monitor.list(), []);
	t.deepEqual(await rig.cgroupsOf('pod'), []);
	await monitor.destroy();
	t.deepEqual(await launcher.listMonitors(), []);
	t.deepEqual(rig.lost, []);
});

launchTest('a program that does not exist fails its start, and its exit is told as 127', async (t, rig) => {
	const monitor = await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod'));
	const spec = await rig.launchSpec('pod', '');
	const broken = {...spec, process: {...spec.process, args: ['/no/such']}};
	await monitor.createContainer(broken);
	const error = await t.throwsAsync(monitor.startContainer(spec.containerId), {instanceOf: SyscallError});
	t.deepEqual([error.details['stage'], error.errno], ['exec', 2]);
	t.is((await rig.exitOf(spec.containerId)).exitCode, 127);
});

launchTest('a mount that fails undoes the whole creation', async (t, rig) => {
	const monitor = await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod'));
	const spec = await rig.launchSpec('pod', '');
	const broken = {...spec, mounts: [...spec.mounts, {kind: 'filesystem', fstype: 'nosuchfs', target: '/x', flags: 0, data: ''} as const]};
	await t.throwsAsync(monitor.createContainer(broken), {instanceOf: SyscallError});
	t.deepEqual(await monitor.list(), []);
	t.deepEqual(await rig.cgroupsOf('pod'), []);
	await monitor.createContainer(spec);
});

launchTest('bind mounts: files and directories of the host, read-only where wanted', async (t, rig) => {
	const monitor = await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod'));
	await writeFile(`${rig.dir}/file`, 'from the host');
	const bind = {
		kind: 'bind',
		recursive: false,
		recursiveReadOnly: false,
		noexec: false,
		nosuid: false,
		nodev: false,
		propagation: 'private',
		idMapped: false,
		idMaps: null,
	} as const;
	const spec = await rig.launchSpec('pod', 'cat /in/file; echo; touch /in/file 2>/dev/null && echo writable; echo more > /logs/written');
	const mounts = [
		...spec.mounts,
		{...bind, source: `${rig.dir}/file`, target: '/in/file', readonly: true},
		{...bind, source: `${rig.dir}/logs`, target: '/logs', readonly: false},
	];
	await monitor.createContainer({...spec, mounts});
	await monitor.startContainer(spec.containerId);
	await rig.exitOf(spec.containerId);
	t.deepEqual(await until(async () => await rig.logLines(spec.containerId).then(all => (all.length > 0 ? all : null))), ['from the host']);
	t.is(await readFile(`${rig.dir}/logs/written`, 'utf8'), 'more\n');
});

launchTest('exec and execSync in a running container', async (t, rig) => {
	const monitor = await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod'));
	const spec = await start(rig, monitor, 'sleep 1000');
	const ok = await monitor.execSync(rig.execRequest(spec, 'hostname; echo err >&2; exit 3'), execLimits, null);
	t.deepEqual([ok.exitCode, utf8(ok.stdout), utf8(ok.stderr), ok.timedOut], [3, 'pod-host\n', 'err\n', false]);
	const late = await monitor.execSync(rig.execRequest(spec, 'echo a; sleep 1000 & sleep 1000'), {...execLimits, timeoutMs: patientMs(300)}, null);
	t.deepEqual([late.exitCode, utf8(late.stdout), late.timedOut], [137, 'a\n', true]);
	const left = await monitor.execSync(rig.execRequest(spec, 'ps | grep -c "[s]leep 1000"'), execLimits, null);
	t.is(utf8(left.stdout), '1\n');
	const background = await monitor.execSync(rig.execRequest(spec, 'sleep 500 & echo done'), {...execLimits, timeoutMs: patientMs(5000)}, null);
	t.deepEqual([background.exitCode, utf8(background.stdout), background.timedOut], [0, 'done\n', false]);
	const none = await t.throwsAsync(monitor.execSync(rig.execRequest(spec, '', {args: ['/no/such']}), execLimits, null), {instanceOf: SyscallError});
	t.deepEqual([none.details['stage'], none.errno], ['exec', 2]);
	const session = await monitor.exec({...rig.execRequest(spec, 'cat; exit 9'), stdin: true});
	session.stdin!.end('through');
	t.is(await text(session.stdout), 'through');
	t.is(await session.exited, 9);
});

launchTest('exec with a terminal: size, echo, end', async (t, rig) => {
	const monitor = await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod'));
	const spec = await start(rig, monitor, 'sleep 1000');
	const session = await monitor.exec({...rig.execRequest(spec, 'read line; stty size; echo got $line; exit 5', {tty: true}), stdin: true});
	t.is(session.stderr, null);
	const output = text(session.stdout);
	session.resize(101, 31);
	await systemClock.sleep(100);
	session.stdin!.write('hello\n');
	t.is(await session.exited, 5);
	t.regex(await output, /31 101\r\ngot hello\r\n$/);
	const killed = await monitor.exec({...rig.execRequest(spec, 'sleep 1000', {tty: true}), stdin: false});
	killed.kill();
	t.is(await killed.exited, 137);
});

launchTest('signals, a stop by SIGTERM, a killed container', async (t, rig) => {
	const monitor = await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod'));
	const polite = await start(rig, monitor, 'trap "exit 6" TERM; echo ready; while :; do sleep 0.05; done');
	await until(async () => (await rig.logLines(polite.containerId)).length > 0 || null);
	await monitor.signal(polite.containerId, 15, false);
	t.is((await rig.exitOf(polite.containerId)).exitCode, 6);
	await monitor.signal(polite.containerId, 15, false);
	const stubborn = await start(rig, monitor, 'sleep 1000 & wait');
	await monitor.signal(stubborn.containerId, 9, true);
	t.is((await rig.exitOf(stubborn.containerId)).exitCode, 137);
});

launchTest('the log goes on in a new file after reopenLog', async (t, rig) => {
	const monitor = await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod'));
	const spec = await start(rig, monitor, 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done');
	const path = rig.logPath(spec.containerId);
	await until(async () => (await rig.logLines(spec.containerId)).length > 3 || null);
	await rename(path, `${path}.old`);
	await monitor.reopenLog(spec.containerId);
	await until(async () => (await rig.logLines(spec.containerId)).length > 3 || null);
	const numbers = ((await readFile(`${path}.old`, 'utf8')) + (await readFile(path, 'utf8')))
		.trim()
		.split('\n')
		.map(line => Number(line.split(' ')[3]));
	t.deepEqual(
		numbers,
		numbers.map((_, i) => i),
	);
});

launchTest('a new daemon finds monitor, container and the exit that it missed', async (t, rig) => {
	const first = await rig.openLauncher();
	const before = await first.createMonitor(rig.monitorRequest('pod'));
	const lives = await start(rig, before, 'sleep 1000');
	const ends = await start(rig, before, 'sleep 0.2; exit 17');
	first.close();
	await t.throwsAsync(before.list(), {instanceOf: UnavailableError});
	await systemClock.sleep(500);
	const second = await rig.openLauncher();
	t.is(second.pid, first.pid);
	const after = (await second.findMonitor('pod'))!;
	t.is(after.pid, before.pid);
	const found = new Map((await after.list()).map(it => [it.containerId, it]));
	t.is(found.get(lives.containerId)!.phase, 'running');
	t.is(found.get(ends.containerId)!.exit!.exitCode, 17);
	t.is(rig.exits.size, 0);
	t.is(utf8((await after.execSync(rig.execRequest(lives, 'echo here'), execLimits, null)).stdout), 'here\n');
	t.is(await second.findMonitor('other'), null);
});

launchTest('a launcher killed with -9 is started anew, and its monitors and containers go on', async (t, rig) => {
	const launcher = await rig.openLauncher();
	const monitor = await launcher.createMonitor(rig.monitorRequest('pod'));
	const spec = await start(rig, monitor, 'sleep 1000');
	const oldPid = launcher.pid;
	process.kill(oldPid, 'SIGKILL');
	await until(() => (launcher.pid === oldPid ? null : true));
	t.deepEqual(await launcher.listMonitors(), ['pod']);
	t.is((await monitor.list())[0]!.phase, 'running');
	t.is(utf8((await monitor.execSync(rig.execRequest(spec, 'echo here'), execLimits, null)).stdout), 'here\n');
	t.deepEqual(rig.lost, []);
});

launchTest('a monitor killed with -9 is told of once, its processes are gone, and destroy clears the rest away', async (t, rig) => {
	const launcher = await rig.openLauncher();
	const monitor = await launcher.createMonitor(rig.monitorRequest('pod'));
	const other = await launcher.createMonitor(rig.monitorRequest('other'));
	const spec = await rig.launchSpec('pod', 'sleep 1000');
	const {pid} = await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	process.kill(monitor.pid, 'SIGKILL');
	await until(() => (rig.lost.length > 0 ? true : null));
	await systemClock.sleep(100);
	t.deepEqual(rig.lost, ['pod']);
	await t.throwsAsync(stat(`/proc/${pid}`), {code: 'ENOENT'});
	await t.throwsAsync(monitor.list(), {instanceOf: UnavailableError});
	t.deepEqual(await other.list(), []);
	await monitor.destroy();
	await t.throwsAsync(stat(`${rig.options.runDir}/pods/pod`), {code: 'ENOENT'});
	t.deepEqual(await launcher.listMonitors(), ['other']);
	const again = await launcher.createMonitor(rig.monitorRequest('pod'));
	t.deepEqual(await again.list(), []);
});

launchTest('twenty pods with two containers each, all at once', async (t, rig) => {
	const launcher = await rig.openLauncher();
	await Promise.all(
		Array.from({length: 20}, async (_, i) => {
			const monitor = await launcher.createMonitor(rig.monitorRequest(`pod${i}`));
			const specs = await Promise.all([start(rig, monitor, `exit ${i}`), start(rig, monitor, `exit ${i + 100}`)]);
			t.is((await rig.exitOf(specs[0].containerId)).exitCode, i);
			t.is((await rig.exitOf(specs[1].containerId)).exitCode, i + 100);
			await monitor.destroy();
		}),
	);
	t.deepEqual(await launcher.listMonitors(), []);
	const {stdout} = await run('sh', ['-c', `grep -c ${rig.dir} /proc/mounts || true`]);
	t.is(stdout.trim(), '0');
});
