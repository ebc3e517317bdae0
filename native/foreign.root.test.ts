import {open, readdir, readFile, writeFile} from 'node:fs/promises';
import {constants} from 'node:fs';
import test, {type ExecutionContext} from 'ava';
import {systemClock} from '../base/clock.js';
import {SyscallError} from '../base/errors.js';
import {LaunchRig, until} from './launch-rig.js';
import type {ForeignContainer, Launcher, Monitor} from './native.js';

interface Pod {
	readonly rig: LaunchRig;
	readonly launcher: Launcher;
	readonly monitor: Monitor;
	readonly foreign: ForeignContainer;
}

function foreignTest(title: string, body: (t: ExecutionContext, pod: Pod) => Promise<void>): void {
	test(title, async t => {
		await using rig = await LaunchRig.open();
		const launcher = await rig.openLauncher();
		const monitor = await launcher.createMonitor(rig.monitorRequest('pod'));
		const at = (name: string): string => `${rig.dir}/${name}`;
		const log = {path: rig.logPath('c1'), maxLineBytes: 4096};
		const foreign = {containerId: 'c1', log, stdoutPath: at('out'), stderrPath: at('err'), stdinPath: at('in'), launch: null};
		t.deepEqual(await monitor.createForeign(foreign), {uid: 0, gid: 0, supplementalGids: []});
		await body(t, {rig, launcher, monitor, foreign});
	});
}

/** What a keeper does: writes the output, then closes. */
async function writer(path: string): Promise<{write(text: string): Promise<void>; close(): Promise<void>}> {
	const file = await open(path, constants.O_WRONLY);
	return {write: async text => void (await file.write(text)), close: async () => await file.close()};
}

foreignTest('log, phases, exit: as of any other container, and the exit comes after the last of the output', async (t, {rig, launcher, monitor, foreign}) => {
	t.deepEqual(await monitor.list(), [{containerId: 'c1', pid: 0, phase: 'created', startedAtNs: 0n, exit: null}]);
	const [out, err] = [await writer(foreign.stdoutPath), await writer(foreign.stderrPath ?? '')];
	await monitor.foreignStarted('c1', 4711, 55n);
	t.deepEqual(await monitor.list(), [{containerId: 'c1', pid: 4711, phase: 'running', startedAtNs: 55n, exit: null}]);
	await out.write('one\n');
	await err.write('two\n');
	const exit = {exitCode: 7, finishedAtNs: 99n, oomKilled: true};
	await monitor.foreignExited('c1', exit);
	await monitor.foreignExited('c1', {...exit, exitCode: 8});
	await systemClock.sleep(50);
	t.is(rig.exits.size, 0, 'the keeper has not closed yet');
	await out.write('last\n');
	await out.close();
	await err.close();
	t.deepEqual(await rig.exitOf('c1'), exit);
	t.deepEqual((await rig.logLines('c1')).toSorted(), ['last', 'one', 'two']);
	t.is(await readFile(`${rig.dir}/run/pods/pod/exits/c1`, 'utf8'), '1 7 99 1 55 4711\n');
	t.deepEqual(await monitor.list(), [{containerId: 'c1', pid: 4711, phase: 'exited', startedAtNs: 55n, exit}]);
	await monitor.removeContainer('c1');
	t.deepEqual(await monitor.list(), []);
	t.deepEqual(await launcher.listMonitors(), ['pod']);
});

foreignTest('a keeper that holds the output open delays the exit by a bounded time', async (t, {rig, monitor, foreign}) => {
	const out = await writer(foreign.stdoutPath);
	await monitor.foreignStarted('c1', 4711, 55n);
	await out.write('text\nno newline');
	await monitor.foreignExited('c1', {exitCode: 0, finishedAtNs: 99n, oomKilled: false});
	t.is((await rig.exitOf('c1')).exitCode, 0);
	t.deepEqual(await rig.logLines('c1'), ['text', 'no newline']);
	await out.close();
});

foreignTest('stdin has no end while it is held open', async (t, {monitor, foreign}) => {
	const input = await open(foreign.stdinPath ?? '', constants.O_RDONLY | constants.O_NONBLOCK);
	const buffer = Buffer.alloc(10);
	await t.throwsAsync(input.read(buffer), {code: 'EAGAIN'});
	await monitor.removeContainer('c1');
	t.is((await input.read(buffer)).bytesRead, 0, 'now it has');
	await input.close();
});

foreignTest('what is not for it is refused; the pod ends with it', async (t, {monitor, launcher, foreign}) => {
	await t.throwsAsync(monitor.createForeign(foreign), {instanceOf: SyscallError, message: /EEXIST/});
	await t.throwsAsync(monitor.startContainer('c1'), {instanceOf: SyscallError});
	await t.throwsAsync(monitor.signal('c1', 15, false), {instanceOf: SyscallError});
	await t.throwsAsync(monitor.foreignStarted('nobody', 1, 1n), {instanceOf: SyscallError, message: /ENOENT/});
	await t.throwsAsync(monitor.createForeign({...foreign, containerId: 'c2', stdoutPath: '/no/such/dir/out'}), {
		instanceOf: SyscallError,
		message: /\/no\/such\/dir\/out/,
	});
	await monitor.destroy();
	t.deepEqual(await launcher.listMonitors(), []);
});

foreignTest('the user is looked up in the root, which is mounted nowhere then, and its directory can be mounted again', async (t, {rig, monitor, foreign}) => {
	await writeFile(`${rig.dir}/root/lower/etc/passwd`, 'app:x:1000:1001::/home/app:/bin/sh\n');
	await writeFile(`${rig.dir}/root/lower/etc/group`, 'extra:x:2000:app\n');
	const spec = await rig.launchSpec('pod', 'true');
	const user = {spec: 'app', uid: null, gid: null, supplementalGids: [], groupsPolicy: 'merge'} as const;
	const named = {...foreign, containerId: 'named', launch: {...spec, process: {...spec.process, user}}};
	t.deepEqual(await monitor.createForeign(named), {uid: 1000, gid: 1001, supplementalGids: [1001, 2000]});
	t.deepEqual(await readdir(spec.rootfs.upperDir), ['data'], 'the directory of its volume');
	t.deepEqual(await readdir(`${spec.rootfs.workDir}/work/incompat`), [], 'nothing forbids another mount');
	const unknown = {...named, containerId: 'unknown', launch: {...named.launch, process: {...spec.process, user: {...user, spec: 'nobody-here'}}}};
	await t.throwsAsync(monitor.createForeign(unknown), {instanceOf: SyscallError, message: /look up user nobody-here/});
	t.deepEqual((await monitor.list()).map(({containerId}) => containerId).toSorted(), ['c1', 'named']);
	const lost = {...named, containerId: 'lost', launch: {...named.launch, rootfs: {...spec.rootfs, lowerDirs: ['/no/such']}}};
	await t.throwsAsync(monitor.createForeign(lost), {instanceOf: SyscallError, message: /\/no\/such/});
	const many = Array.from({length: 20}, (_, i) => ({...foreign, containerId: `m${i}`, launch: null}));
	await Promise.all(many.map(async each => await monitor.createForeign(each)));
});

foreignTest('it is known to the next daemon', async (t, {rig, foreign, monitor}) => {
	await monitor.foreignStarted('c1', 4711, 55n);
	const next = await (await rig.openLauncher()).findMonitor('pod');
	t.deepEqual(await next?.list(), [{containerId: 'c1', pid: 4711, phase: 'running', startedAtNs: 55n, exit: null}]);
	await next?.foreignExited('c1', {exitCode: 3, finishedAtNs: 99n, oomKilled: false});
	const out = await writer(foreign.stdoutPath);
	await out.close();
	t.is((await until(async () => (await next?.list())?.[0]?.exit ?? null)).exitCode, 3);
});
