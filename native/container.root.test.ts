import {mkdir, readdir, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises';
import test, {type ExecutionContext} from 'ava';
import {SyscallError} from '../base/errors.js';
import {patientMs} from '../base/test-patience.js';
import {IS_PURE_V2, withMemoryLimit} from './cgroup-rig.js';
import {LaunchRig, shellProcess, until} from './launch-rig.js';
import type {LaunchSpec, Monitor, MonitorRequest, ProcessSpec} from './native.js';

const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const execLimits = {timeoutMs: 0, maxOutputBytes: 1 << 20};
const ALL = 0x1ff_ffff_ffffn;

interface Pod {
	readonly rig: LaunchRig;
	readonly monitor: Monitor;
	/** What a container that runs `script` wrote, and how it ended. */
	run(script: string, change?: (spec: LaunchSpec) => LaunchSpec): Promise<{readonly lines: readonly string[]; readonly exitCode: number}>;
}

function podTest(title: string, body: (t: ExecutionContext, pod: Pod) => Promise<void>, request: Partial<MonitorRequest> = {}): void {
	test(title, async t => {
		await using rig = await LaunchRig.open();
		const monitor = await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod', request));
		const run: Pod['run'] = async (script, change = spec => spec) => {
			const spec = change(await rig.launchSpec('pod', script));
			await monitor.createContainer(spec);
			await monitor.startContainer(spec.containerId);
			const {exitCode} = await rig.exitOf(spec.containerId);
			return {lines: await rig.logLines(spec.containerId), exitCode};
		};
		await body(t, {rig, monitor, run});
	});
}

const withProcess =
	(more: Partial<ProcessSpec>) =>
	(spec: LaunchSpec): LaunchSpec => ({...spec, process: {...spec.process, ...more}});

podTest('users: names and numbers of the image, its groups, HOME, and who is unknown', async (t, {rig, monitor, run}) => {
	await writeFile(`${rig.dir}/root/lower/etc/passwd`, 'root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n');
	await writeFile(`${rig.dir}/root/lower/etc/group`, 'root:x:0:\napp:x:1001:\nextra:x:2000:app\n');
	const user = {spec: '', uid: null, gid: null, supplementalGids: [] as number[], groupsPolicy: 'merge' as const};
	const who = async (more: object): Promise<readonly string[]> => (await run('id -u; id -g; id -G; echo $HOME', withProcess({user: {...user, ...more}}))).lines;
	t.deepEqual(await who({}), ['0', '0', '0', '/root']);
	t.deepEqual(await who({spec: 'app'}), ['1000', '1001', '1001 2000', '/home/app']);
	t.deepEqual(await who({spec: '1000:extra'}), ['1000', '2000', '2000', '/home/app']);
	t.deepEqual(await who({spec: '77:88'}), ['77', '88', '88', '/']);
	t.deepEqual(await who({uid: 1000, supplementalGids: [5000]}), ['1000', '1001', '1001 2000 5000', '/home/app']);
	t.deepEqual(await who({uid: 1000, gid: 3, supplementalGids: [5000], groupsPolicy: 'strict'}), ['1000', '3', '3 5000', '/home/app']);
	const spec = withProcess({user: {...user, spec: 'nobody-here'}})(await rig.launchSpec('pod', ''));
	const error = await t.throwsAsync(monitor.createContainer(spec), {instanceOf: SyscallError});
	t.deepEqual([error.details['stage'], error.details['path']], ['look up user', 'nobody-here']);
	t.false((await monitor.list()).some(it => it.containerId === spec.containerId));
});

podTest('a passwd file that is a fifo, or a link to a file of the host, is not read', async (t, {rig, monitor}) => {
	await symlink('/../../../../../../etc/passwd', `${rig.dir}/root/lower/etc/passwd`);
	const user = {spec: 'daemon', uid: null, gid: null, supplementalGids: [], groupsPolicy: 'merge'} as const;
	const outside = withProcess({user})(await rig.launchSpec('pod', ''));
	await t.throwsAsync(monitor.createContainer(outside), {instanceOf: SyscallError, message: /look up user/});
	await rm(`${rig.dir}/root/lower/etc/passwd`);
	const fifo = withProcess({user})(await rig.launchSpec('pod', ''));
	const devices = [...fifo.devices, {path: '/etc/passwd', type: 'p', major: 0, minor: 0, mode: 0o644, uid: 0, gid: 0} as const];
	await t.throwsAsync(monitor.createContainer({...fifo, devices}), {instanceOf: SyscallError, message: /look up user daemon/});
});

podTest('capabilities, no_new_privs, limits, umask, working directory', async (t, {run}) => {
	const {lines} = await run(
		'grep -E "^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|SigBlk|SigIgn)" /proc/self/status | tr -d "\\t"; ulimit -n; umask; pwd; ls /proc/self/fd | wc -l',
		withProcess({
			user: {spec: '1000', uid: null, gid: null, supplementalGids: [], groupsPolicy: 'merge'},
			capabilities: {bounding: 0x401n, effective: 0x401n, permitted: 0x401n, inheritable: 0x400n, ambient: 0x400n},
			rlimits: [{resource: 7, soft: 123n, hard: 200n}],
			cwd: '/made/on/the/way',
		}),
	);
	t.deepEqual(lines, [
		'SigBlk:0000000000000000',
		'SigIgn:0000000000000000',
		'CapInh:0000000000000400',
		'CapPrm:0000000000000400',
		'CapEff:0000000000000400',
		'CapBnd:0000000000000401',
		'CapAmb:0000000000000400',
		'NoNewPrivs:1',
		'123',
		'0022',
		'/made/on/the/way',
		// stdio and the directory that ls reads.
		'4',
	]);
});

podTest('a seccomp program holds, with and without no_new_privs', async (t, {run}) => {
	// ld [nr]; jeq mkdir → ret ERRNO|EPERM, else ret ALLOW.
	const mkdirOnX64 = 83;
	const mkdiratOnArm64 = 34;
	const program = Buffer.alloc(32);
	[
		[0x20, 0, 0, 0],
		[0x15, 0, 1, process.arch === 'x64' ? mkdirOnX64 : mkdiratOnArm64],
		[0x06, 0, 0, 0x00050001],
		[0x06, 0, 0, 0x7fff0000],
	].forEach(([code, yes, no, k], i) => {
		program.writeUInt16LE(code!, i * 8);
		program.writeUInt8(yes!, i * 8 + 2);
		program.writeUInt8(no!, i * 8 + 3);
		program.writeUInt32LE(k!, i * 8 + 4);
	});
	for (const noNewPrivileges of [true, false]) {
		const script = 'mkdir /x 2>/dev/null; echo $?; grep -E "^(CapEff|Seccomp:|NoNewPrivs)" /proc/self/status | tr -d "\\t"';
		const {lines} = await run(script, withProcess({seccomp: program, noNewPrivileges}));
		t.deepEqual(lines, ['1', 'CapEff:00000000a80425fb', `NoNewPrivs:${noNewPrivileges ? 1 : 0}`, 'Seccomp:2']);
	}
});

podTest('masked and read-only paths', async (t, {run}) => {
	const script = `wc -c < /proc/version; ls /proc/fs /secret | grep -v : | tr -d "\\n"; echo; cat /etc/hidden
		echo 1 > /proc/sys/kernel/domainname || echo refused; touch /secret/x || echo refused; touch /frozen/x || echo refused`;
	const {lines} = await run(script, spec => ({
		...spec,
		volumeDirs: ['/secret/inner', '/frozen'],
		symlinks: [['/etc/hidden', '/proc/version']],
		maskedPaths: ['/proc/version', '/proc/fs', '/proc/no-such', '/secret', '/no/such/thing'],
		readonlyPaths: ['/proc/sys', '/frozen', '/nor/this'],
		process: shellProcess(script),
	}));
	t.deepEqual(
		lines.filter(line => !line.startsWith('sh:') && !line.startsWith('touch:') && !line.startsWith('ls:')),
		['0', '', 'refused', 'refused', 'refused'],
	);
});

podTest('an image whose /proc, /dev or mount points are links does not get out of its root', async (t, {rig, monitor, run}) => {
	const lower = `${rig.dir}/root/lower`;
	await symlink('/tmp/elsewhere', `${lower}/proc`);
	const broken = await rig.launchSpec('pod', '');
	await t.throwsAsync(monitor.createContainer(broken), {instanceOf: SyscallError, message: /mount proc .*\/proc: ELOOP/});
	await rm(`${lower}/proc`);
	await mkdir(`${rig.dir}/victim`);
	await symlink(`../../../../../..${rig.dir}/victim`, `${lower}/way-out`);
	await symlink('/not/there', `${lower}/dangling`);
	const {lines, exitCode} = await run(`ls -d ${rig.dir}/victim/volume /not/there/volume; mount | grep -c "/not/there/fs "`, spec => ({
		...spec,
		volumeDirs: ['/way-out/volume', '/dangling/volume'],
		mounts: [...spec.mounts, {kind: 'filesystem', fstype: 'tmpfs', target: '/dangling/fs', flags: 0, data: ''}],
	}));
	t.deepEqual([lines, exitCode], [['/not/there/volume', `${rig.dir}/victim/volume`, '1'], 0]);
	t.deepEqual(await readdir(`${rig.dir}/victim`), []);
});

podTest('a read-only root, and its writable places', async (t, {run}) => {
	const {lines} = await run(
		'touch /x 2>/dev/null || echo refused; touch /dev/shm/x && echo written; df -k /dev/shm | tail -1 | tr -s " " | cut -d " " -f 2',
		spec => ({
			...spec,
			rootfs: {...spec.rootfs, readonly: true},
		}),
	);
	t.deepEqual(lines, ['refused', 'written', '1024']);
});

podTest('the upper directory of a killed container mounts again', async (t, {rig, monitor, run}) => {
	const spec = await rig.launchSpec('pod', 'echo kept > /file; sleep 1000');
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	await until(
		async () =>
			await readFile(`${spec.rootfs.upperDir}/file`, 'utf8').then(
				text => text || null,
				() => null,
			),
	);
	await monitor.signal(spec.containerId, 9, false);
	await rig.exitOf(spec.containerId);
	t.deepEqual((await run('cat /file', again => ({...again, rootfs: spec.rootfs}))).lines, ['kept']);
});

podTest('sixty layers, with commas and colons in their names', async (t, {rig, run}) => {
	const lowerDirs: string[] = [];
	for (let i = 0; i < 60; i++) {
		const dir = `${rig.dir}/root/layer,${i}:${'x'.repeat(i === 3 ? 200 : 1)}`;
		await mkdir(`${dir}/etc`, {recursive: true});
		await writeFile(`${dir}/etc/layer-${i}`, '');
		lowerDirs.push(dir);
	}
	const {lines} = await run('ls /etc | grep -c layer', spec => ({...spec, rootfs: {...spec.rootfs, lowerDirs: [...lowerDirs, ...spec.rootfs.lowerDirs]}}));
	t.deepEqual(lines, ['60']);
});

podTest("the cgroup view is the container's own", async (t, {run}) => {
	const v1 = [{name: 'pids', fstype: 'cgroup', options: 'pids'} as const, {name: 'memory', fstype: 'cgroup', options: 'memory'} as const];
	const hierarchies = IS_PURE_V2 ? [{name: '', fstype: 'cgroup2', options: ''} as const] : v1;
	const dir = IS_PURE_V2 ? '/sys/fs/cgroup' : '/sys/fs/cgroup/pids';
	const {lines} = await run(
		`cat ${dir}/pids.max; mkdir ${dir}/x 2>/dev/null || echo refused; grep -e :pids: -e ^0:: /proc/self/cgroup | head -n 1; ls /sys/fs/cgroup`,
		spec => ({
			...spec,
			mounts: [
				...spec.mounts,
				{kind: 'filesystem', fstype: 'sysfs', target: '/sys', flags: 15, data: ''},
				{kind: 'cgroup', target: '/sys/fs/cgroup', readonly: true, hierarchies},
			],
		}),
	);
	t.deepEqual(lines.slice(0, 2), ['100', 'refused']);
	t.regex(lines[2]!, IS_PURE_V2 ? /^0::\/$/ : /:pids:\/$/);
	t.deepEqual(IS_PURE_V2 ? lines.slice(3).includes('cgroup.procs') : lines.slice(3), IS_PURE_V2 ? true : ['memory', 'pids']);
});

podTest('a container with a terminal: console, its log', async (t, {rig, monitor}) => {
	const spec = withProcess({tty: true})(await rig.launchSpec('pod', 'tty; test -c /dev/console && echo console; exit 5'));
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	t.is((await rig.exitOf(spec.containerId)).exitCode, 5);
	t.deepEqual(await rig.logLines(spec.containerId), ['/dev/pts/0\r', 'console\r']);
});

podTest(
	"a pod-wide PID namespace: the monitor's init is PID 1, without rights or a root worth seeing",
	async (t, {rig, monitor}) => {
		const first = await rig.launchSpec('pod', 'sleep 1000');
		const shared = (spec: LaunchSpec): LaunchSpec => ({...spec, namespaces: {...spec.namespaces, pid: 'pod'}});
		await monitor.createContainer(shared(first));
		await monitor.startContainer(first.containerId);
		const second = shared(
			await rig.launchSpec(
				'pod',
				'cat /proc/1/comm; ps | grep -c "[s]leep 1000"; grep -E "^(CapEff|CapPrm|Uid)" /proc/1/status | tr -s "\\t" " "; ls /proc/1/root/ 2>&1 | grep -c etc; (sleep 2000 &)',
			),
		);
		const all = second.process.capabilities.bounding | (1n << 19n);
		await monitor.createContainer({
			...second,
			process: {...second.process, capabilities: {...second.process.capabilities, bounding: all, effective: all, permitted: all}},
		});
		await monitor.startContainer(second.containerId);
		await rig.exitOf(second.containerId);
		t.deepEqual(await rig.logLines(second.containerId), [
			'berth-pod-init',
			'1',
			'Uid: 65535 65535 65535 65535',
			'CapPrm: 0000000000000000',
			'CapEff: 0000000000000000',
			'0',
		]);
		const left = await monitor.execSync(rig.execRequest(first, 'ps | grep -c "[s]leep 2000"'), execLimits, null);
		t.is(utf8(left.stdout), '0\n');
	},
	{namespaces: {network: true, ipc: true, uts: true, pid: true}},
);

podTest("the host's PID namespace: the end of the main process ends what it left", async (t, {rig, monitor, run}) => {
	const before = await rig.launchSpec('pod', '(sleep 3333 & sleep 3333 &) ; exit 4');
	const spec: LaunchSpec = {...before, namespaces: {...before.namespaces, pid: 'host'}};
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	t.is((await rig.exitOf(spec.containerId)).exitCode, 4);
	await monitor.removeContainer(spec.containerId);
	t.deepEqual(await rig.cgroupsOf('pod'), []);
	const target = await rig.launchSpec('pod', 'sleep 1000');
	const {pid} = await monitor.createContainer(target);
	await monitor.startContainer(target.containerId);
	const seen = await run('ps | grep -c "[s]leep 1000"', it => ({...it, namespaces: {...it.namespaces, pid: {pid}}}));
	t.deepEqual(seen.lines, ['1']);
});

podTest('an exec has the oom_score_adj of its container, or its own', async (t, {rig, monitor}) => {
	const spec = withProcess({oomScoreAdj: 321})(await rig.launchSpec('pod', 'sleep 1000'));
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	const inherited = await monitor.execSync(rig.execRequest(spec, 'cat /proc/1/oom_score_adj /proc/self/oom_score_adj'), execLimits, null);
	t.is(utf8(inherited.stdout), '321\n321\n');
	const own = await monitor.execSync(rig.execRequest(spec, 'cat /proc/self/oom_score_adj', {oomScoreAdj: 777}), execLimits, null);
	t.is(utf8(own.stdout), '777\n');
});

podTest('an exec that daemonizes, also into sessions of its own, is killed whole, and nothing else of the container', async (t, {rig, monitor}) => {
	const spec = await rig.launchSpec('pod', '(setsid sleep 4445 &) ; sleep 1000');
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	const other = monitor.execSync(
		rig.execRequest(spec, '(setsid sleep 4446 &) ; while ! read x < /go; do sleep 0.05; done; echo lived'),
		{...execLimits, timeoutMs: patientMs(60_000)},
		null,
	);
	const script = `(sleep 4444 & (sleep 4444 &) ) ; (setsid sleep 4444 &) ; (setsid sh -c '(setsid sleep 4444 &) ; sleep 4444' &) ; echo ready; sleep 4444`;
	const late = await monitor.execSync(rig.execRequest(spec, script), {...execLimits, timeoutMs: patientMs(1000)}, null);
	t.true(late.timedOut);
	t.is(utf8(late.stdout), 'ready\n');
	const left = await monitor.execSync(
		rig.execRequest(spec, 'for s in 4444 4445 4446 1000; do ps | grep -c "[0-9] sleep $s"; done; echo 1 > /go'),
		execLimits,
		null,
	);
	t.is(utf8(left.stdout), '0\n1\n1\n1\n');
	t.is(utf8((await other).stdout), 'lived\n');
});

podTest('what an exec leaves in the background lives on when it ends in time', async (t, {rig, monitor}) => {
	const spec = await rig.launchSpec('pod', 'sleep 1000');
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	const {exitCode} = await monitor.execSync(
		rig.execRequest(spec, '(setsid sleep 4447 &) ; sleep 4447 & exit 5'),
		{...execLimits, timeoutMs: patientMs(60_000)},
		null,
	);
	t.is(exitCode, 5);
	const left = await monitor.execSync(rig.execRequest(spec, 'ps | grep -c "[s]leep 4447"'), execLimits, null);
	t.is(utf8(left.stdout), '2\n');
});

podTest('an init killed while it is parked is an exit like any other', async (t, {rig, monitor}) => {
	const spec = await rig.launchSpec('pod', '');
	const {pid} = await monitor.createContainer(spec);
	process.kill(pid, 'SIGKILL');
	t.is((await rig.exitOf(spec.containerId)).exitCode, 137);
	const error = await t.throwsAsync(monitor.startContainer(spec.containerId), {instanceOf: SyscallError});
	t.is(error.errno, 3);
	t.is((await monitor.list())[0]!.phase, 'exited');
	t.is(await readFile(`${rig.options.runDir}/pods/pod/exits/${spec.containerId}`, 'utf8').then(line => line.split(' ').slice(0, 2).join(' ')), '1 137');
});

podTest('an OOM kill is told', async (t, {rig, monitor}) => {
	const spec = await rig.launchSpec('pod', 'x=a; while :; do x=$x$x; done');
	const plan = withMemoryLimit(spec.cgroup, rig.dir.split('/').pop()!, 16 * 1024 * 1024);
	await monitor.createContainer({...spec, cgroup: plan});
	await monitor.startContainer(spec.containerId);
	const exit = await rig.exitOf(spec.containerId);
	t.deepEqual([exit.exitCode, exit.oomKilled], [137, true]);
	await monitor.removeContainer(spec.containerId);
	for (const dir of plan.dirs) await t.throwsAsync(stat(dir), {code: 'ENOENT'});
});

podTest(
	'sysctls of the pod, and one that does not exist',
	async (t, {rig, monitor, run}) => {
		t.deepEqual(
			(
				await run(
					'cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/sys/kernel/shm_rmid_forced; cat /sys/class/net/lo/flags 2>/dev/null; ip addr show lo | grep -c 127.0.0.1',
				)
			).lines,
			['0', '1', '1'],
		);
		t.is(monitor.sandboxId, 'pod');
		const launcher = await rig.openLauncher();
		for (const name of ['net.no_such', 'net/../../../tmp/x']) {
			const error = await t.throwsAsync(launcher.createMonitor(rig.monitorRequest('other', {sysctls: [[name, '1']]})), {instanceOf: SyscallError});
			t.deepEqual([error.details['stage'], error.details['path']], ['write sysctl', name]);
		}
		t.deepEqual(await launcher.listMonitors(), ['pod']);
		t.deepEqual(await readdir(`${rig.options.runDir}/pods`), ['pod']);
	},
	{
		sysctls: [
			['net.ipv4.ip_unprivileged_port_start', '0'],
			['kernel.shm_rmid_forced', '1'],
		],
	},
);

podTest(
	'a working directory of a thousand components that are not there is made, and one that is too long is refused by its path',
	async (t, {rig, monitor, run}) => {
		const deep = '/d'.repeat(1000);
		t.deepEqual((await run('pwd', withProcess({cwd: deep}))).lines, [deep]);
		const spec = withProcess({cwd: `/${'x'.repeat(256)}/y`})(await rig.launchSpec('pod', ''));
		await t.throwsAsync(monitor.createContainer(spec), {instanceOf: SyscallError, message: /change directory \/x+.*ENAMETOOLONG/});
	},
);

podTest(
	"the pod's PID 1 shows no path of the node: neither in its arguments nor in its environment",
	async (t, {rig, run}) => {
		const {lines} = await run('tr "\\0" "|" < /proc/1/cmdline; echo; cat /proc/1/comm; wc -c < /proc/1/environ', spec => ({
			...spec,
			namespaces: {...spec.namespaces, pid: 'pod'},
			process: {...spec.process, capabilities: {...spec.process.capabilities, bounding: ALL, effective: ALL, permitted: ALL}},
		}));
		t.deepEqual(lines, ['berth-launcher|', 'berth-pod-init', '0']);
		t.false(lines.join().includes(rig.dir));
	},
	{namespaces: {network: true, ipc: true, uts: true, pid: true}},
);
