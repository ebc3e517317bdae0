import {chmod, chown, copyFile, mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {SyscallError} from '../base/errors.js';
import {IMAGE_FILES_DIR, LaunchRig, shellProcess, until} from './launch-rig.js';
import type {DeviceSpec, LaunchSpec, Monitor, MonitorRequest, MountSpec, UserNamespaceSpec} from './native.js';

const FIRST = {uids: {first: 200_000, count: 65_536}, gids: {first: 300_000, count: 65_536}} as const;
const SECOND = {uids: {first: 400_000, count: 65_536}, gids: {first: 500_000, count: 65_536}} as const;
const ALL_CAPABILITIES = 0x1ff_ffff_ffffn;
const execLimits = {timeoutMs: 0, maxOutputBytes: 1 << 20};
const command = async (file: string, ...args: readonly string[]): Promise<unknown> => await promisify(execFile)(file, args);
const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

interface Pod {
	readonly rig: LaunchRig;
	readonly monitor: Monitor;
	/** A container that is started and not waited for. */
	start(script: string, change?: (spec: LaunchSpec) => LaunchSpec): Promise<LaunchSpec>;
	/** What a container that runs `script` wrote, and how it ended. */
	run(
		script: string,
		change?: (spec: LaunchSpec) => LaunchSpec,
	): Promise<{readonly lines: readonly string[]; readonly exitCode: number; readonly spec: LaunchSpec}>;
}

async function openPod(rig: LaunchRig, userNamespace: UserNamespaceSpec, request: Partial<MonitorRequest> = {}): Promise<Pod> {
	const sandboxId = request.sandboxId ?? 'pod';
	const launcher = await rig.openLauncher();
	const monitor = await launcher.createMonitor(rig.monitorRequest(sandboxId, {...request, userNamespace}));
	const start: Pod['start'] = async (script, change = spec => spec) => {
		const plain = await rig.launchSpec(sandboxId, script);
		const data = `newinstance,ptmxmode=0666,mode=0620,gid=${userNamespace.gids.first + 5}`;
		const spec = change({...plain, mounts: plain.mounts.map(mount => (mount.target === '/dev/pts' ? {...mount, data} : mount)) as MountSpec[]});
		await chown(spec.rootfs.upperDir, userNamespace.uids.first, userNamespace.gids.first);
		await monitor.createContainer(spec);
		await monitor.startContainer(spec.containerId);
		return spec;
	};
	const run: Pod['run'] = async (script, change) => {
		const spec = await start(script, change);
		const {exitCode} = await rig.exitOf(spec.containerId);
		return {lines: await rig.logLines(spec.containerId), exitCode, spec};
	};
	return {rig, monitor, start, run};
}

function podTest(title: string, body: (t: ExecutionContext, pod: Pod) => Promise<void>, request: Partial<MonitorRequest> = {}): void {
	test(title, async t => {
		await using rig = await LaunchRig.open();
		await body(t, await openPod(rig, FIRST, request));
	});
}

const bind = (source: string, target: string, idMapped: boolean): MountSpec => ({
	kind: 'bind',
	source,
	target,
	recursive: true,
	readonly: false,
	recursiveReadOnly: false,
	noexec: false,
	nosuid: false,
	nodev: false,
	propagation: 'private',
	idMapped,
});
const withMounts =
	(...mounts: MountSpec[]) =>
	(spec: LaunchSpec): LaunchSpec => ({...spec, mounts: [...spec.mounts, ...mounts]});
const asUser =
	(uid: number) =>
	(spec: LaunchSpec): LaunchSpec => ({...spec, process: {...spec.process, user: {...spec.process.user, uid}}});
/** As a privileged one: every capability, nothing masked. */
const withEverything = (spec: LaunchSpec): LaunchSpec => {
	const all = ALL_CAPABILITIES;
	const capabilities = {bounding: all, effective: all, permitted: all, inheritable: 0n, ambient: 0n};
	return {...spec, maskedPaths: [], readonlyPaths: [], process: {...spec.process, capabilities, noNewPrivileges: false}};
};

podTest('root inside is another outside: its process, its files, those of the image, and what it writes', async (t, {rig, monitor, run, start}) => {
	await writeFile(`${rig.dir}/root/lower/etc/of-the-image`, 'x');
	await chown(`${rig.dir}/root/lower/etc/of-the-image`, 1000, 2000);
	const before = await stat(`${rig.dir}/root/lower/bin/busybox`);
	const {lines, exitCode, spec} = await run(
		'id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map | tr -s " "; stat -c %u:%g / /bin/busybox /etc/of-the-image /data /dev /dev/null /dev/pts /dev/pts/ptmx /dev/shm;' +
			'echo new > /new; chown 7:8 /etc/of-the-image; rm /bin/ls; cat /proc/self/setgroups',
		spec => ({...spec, devices: spec.devices.map(device => ({...device, uid: FIRST.uids.first, gid: FIRST.gids.first}))}),
	);
	t.is(exitCode, 0);
	t.deepEqual(
		lines.map(line => line.trim()),
		['0', '0', '0 200000 65536', '0 300000 65536', '0:0', '0:0', '1000:2000', '0:0', '0:0', '0:0', '0:0', '0:0', '0:0', 'allow'],
	);
	const owners = async (path: string): Promise<readonly number[]> => await stat(`${spec.rootfs.upperDir}/${path}`).then(({uid, gid}) => [uid, gid]);
	t.deepEqual(await owners('new'), [200_000, 300_000]);
	t.deepEqual(await owners('etc/of-the-image'), [200_007, 300_008], 'copied up, with an owner outside that is the mapped one');
	t.deepEqual(await owners('data'), [200_000, 300_000]);
	const after = await stat(`${rig.dir}/root/lower/bin/busybox`);
	t.deepEqual([after.uid, after.gid, after.ctimeMs], [before.uid, before.gid, before.ctimeMs], 'the layer is as it was');
	const sleeper = await start('sleep 1000', asUser(1000));
	const {pid} = (await monitor.list()).find(({containerId}) => containerId === sleeper.containerId)!;
	t.regex(await readFile(`/proc/${pid}/status`, 'utf8'), /^Uid:\t201000\t201000\t201000\t201000$/m);
});

podTest('ids are told as the container has them; one that is not mapped is refused', async (t, {rig, monitor}) => {
	const spec = asUser(1000)(await rig.launchSpec('pod', 'true'));
	t.is((await monitor.createContainer(spec)).user.uid, 1000);
	const unmapped = asUser(70_000)(await rig.launchSpec('pod', 'true'));
	const error = await t.throwsAsync(monitor.createContainer(unmapped), {instanceOf: SyscallError});
	t.is(error.details['stage'], 'set user');
});

test('two pods with different ids share a layer', async t => {
	await using rig = await LaunchRig.open();
	await writeFile(`${rig.dir}/root/lower/etc/secret`, 'of root', {mode: 0o600});
	for (const {run} of [await openPod(rig, FIRST), await openPod(rig, SECOND, {sandboxId: 'other'})])
		t.deepEqual((await run('stat -c %u:%g /etc/secret; cat /etc/secret; echo')).lines, ['0:0', 'of root']);
	t.is((await stat(`${rig.dir}/root/lower/etc/secret`)).uid, 0);
});

podTest("volumes: id-mapped ones have the ids of the disk, others the node's", async (t, {rig, run}) => {
	for (const name of ['mapped', 'plain']) {
		await mkdir(`${rig.dir}/${name}`);
		await writeFile(`${rig.dir}/${name}/file`, 'x');
		await chown(`${rig.dir}/${name}/file`, 1000, 2000);
	}
	await writeFile(`${rig.dir}/plain/of-host-root`, 'secret', {mode: 0o600});
	const {lines} = await run(
		'stat -c %u:%g /mapped /mapped/file /plain /plain/file; touch /mapped/new; chown 5:6 /mapped/file; touch /plain/new 2>/dev/null || echo no; cat /plain/of-host-root 2>/dev/null || echo no',
		withMounts(bind(`${rig.dir}/mapped`, '/mapped', true), bind(`${rig.dir}/plain`, '/plain', false)),
	);
	t.deepEqual(lines, ['0:0', '1000:2000', '65534:65534', '65534:65534', 'no', 'no']);
	const owner = async (path: string): Promise<readonly number[]> => await stat(`${rig.dir}/mapped/${path}`).then(({uid, gid}) => [uid, gid]);
	t.deepEqual(
		[await owner('new'), await owner('file')],
		[
			[0, 0],
			[5, 6],
		],
	);
});

podTest('a volume whose filesystem has no id-mapped mounts is refused by its name', async (t, {rig, monitor}) => {
	const spec = withMounts(bind('/proc/sys', '/mapped', true))(await rig.launchSpec('pod', 'true'));
	const error = await t.throwsAsync(monitor.createContainer(spec), {instanceOf: SyscallError});
	t.deepEqual([error.details['stage'], error.details['path']], ['id-map volume', '/proc/sys']);
	t.deepEqual(await monitor.list(), []);
});

podTest('every capability inside is none outside', async (t, {rig, run}) => {
	const disk: DeviceSpec = {path: '/dev/disk', type: 'b', major: 1, minor: 0, mode: 0o660, uid: 0, gid: 6};
	await writeFile(`${rig.dir}/of-host-root`, 'secret', {mode: 0o600});
	const attempts = [
		'cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness',
		'cat /of-host-root',
		'chmod 666 /of-host-root',
		'mknod /tmp/null c 1 3',
		'head -c 1 /dev/disk',
		'chmod 666 /dev/disk',
		'mount -o remount,rw /locked',
		'umount /proc/kcore',
		'umount /proc',
		'touch /locked/x',
		'chown 0:0 /of-host-root',
		'dmesg',
	];
	const {lines, exitCode} = await run(
		`mount -t tmpfs none /tmp && echo mounts; ip link add name dummy0 type dummy 2>/dev/null; ip addr add 10.9.9.9/32 dev lo && echo network; echo 1 > /proc/sys/net/ipv4/ip_forward && echo sysctl; hostname other && hostname;` +
			attempts.map((attempt, index) => `(${attempt}) >/dev/null 2>&1 && echo ${index} succeeded`).join(';') +
			';exit 0',
		spec => {
			const mounts = withMounts(bind(`${rig.dir}/of-host-root`, '/of-host-root', false), {
				...bind(`${rig.dir}/logs`, '/locked', true),
				readonly: true,
			} as MountSpec)(spec);
			return {...withEverything(mounts), maskedPaths: ['/proc/kcore'], devices: [...spec.devices, disk]};
		},
	);
	t.is(exitCode, 0);
	t.deepEqual(lines, ['mounts', 'network', 'sysctl', 'other'], "what is the pod's own may be changed, and nothing else");
	t.is((await stat(`${rig.dir}/of-host-root`)).mode & 0o777, 0o600);
});

podTest('an exec is in the user namespace, with what it writes and its standard streams', async (t, {rig, monitor, start}) => {
	const spec = await start('sleep 1000');
	const result = await monitor.execSync(
		rig.execRequest(
			spec,
			'id -u; tr -s " " < /proc/self/uid_map; readlink /proc/self/ns/user; readlink /proc/1/ns/user; echo made > /by-exec; echo again > /proc/self/fd/2; stat -c %u:%g /made-as-cwd',
			{
				cwd: '/made-as-cwd',
			},
		),
		execLimits,
		null,
	);
	const [uid, map, own, first, ...rest] = utf8(result.stdout).trim().split('\n');
	t.deepEqual([uid, map?.trim(), own, rest], ['0', '0 200000 65536', first, ['0:0']], utf8(result.stderr));
	t.is((await stat(`${spec.rootfs.upperDir}/by-exec`)).uid, 200_000);
	const user = await monitor.execSync(
		rig.execRequest(spec, 'id -u; cat /proc/self/status | grep CapEff; echo by-path > /proc/self/fd/1', {user: {...spec.process.user, uid: 1000}}),
		execLimits,
		null,
	);
	t.is(user.exitCode, 0, utf8(user.stderr));
});

podTest('a terminal belongs to the user and has a name', async (t, {rig, monitor, start}) => {
	const container = await start('tty; stat -c %u:%g $(tty); ls -l /dev/console >/dev/null && echo console; sleep 1000', spec => ({
		...asUser(1000)(spec),
		symlinks: [['/dev/ptmx', 'pts/ptmx']],
		process: {...asUser(1000)(spec).process, tty: true},
	}));
	const lines = await until(
		async () =>
			await rig.logLines(container.containerId).then(
				all => (all.length >= 3 ? all : null),
				() => null,
			),
	);
	t.deepEqual(
		lines.map(line => line.trim()),
		['/dev/pts/0', '1000:5', 'console'],
	);
	const session = await monitor.exec({...rig.execRequest(container, 'tty', {tty: true}), stdin: false});
	const chunks: Buffer[] = [];
	session.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
	t.is(await session.exited, 0);
	t.is(Buffer.concat(chunks).toString().trim(), '/dev/pts/1');
});

podTest(
	"a pod-wide PID namespace: PID 1 is nobody's, and cannot be harmed",
	async (t, {rig, monitor, run}) => {
		// Parked in the same PID namespace, and already of the pod's root.
		const parked = {...(await rig.launchSpec('pod', 'true')), namespaces: {pid: 'pod', cgroup: 'new'}} as const;
		await monitor.createContainer(parked);
		const {lines} = await run(
			'grep -l berth-init /proc/[0-9]*/comm | wc -l; for comm in $(grep -l berth-init /proc/[0-9]*/comm); do (ls ${comm%comm}fd; cat ${comm%comm}environ; ls ${comm%comm}root/) 2>/dev/null; done; stat -c %u /proc/1; kill -9 1 2>/dev/null && echo killed; ls /proc/1/root/ 2>/dev/null; ls /proc/1/fd 2>/dev/null; id -u',
			spec => withEverything({...spec, namespaces: {pid: 'pod', cgroup: 'new'}}),
		);
		t.deepEqual(lines, ['1', '65534', '0']);
	},
	{namespaces: {network: true, ipc: true, uts: true, pid: true}},
);

podTest(
	"on the node's network it sees the interfaces and may change none",
	async (t, {run}) => {
		const {lines} = await run(
			'ls /sys/class/net | grep -c lo; ip link set lo down 2>/dev/null && echo down; ip addr add 10.9.9.9/32 dev lo 2>/dev/null && echo added; id -u',
			spec => withEverything(withMounts({kind: 'filesystem', fstype: 'sysfs', target: '/sys', flags: 15, data: ''})(spec)),
		);
		t.deepEqual(lines, ['1', '0']);
	},
	{namespaces: {network: false, ipc: true, uts: false, pid: false}, hostname: null, sysctls: []},
);

podTest('layers with names that overlay takes for its own, a read-only root, and a volume that takes new mounts of the node', async (t, {rig, run, start}) => {
	const odd = `${rig.dir}/root/a:b,${'long'.repeat(60)}`;
	await mkdir(odd);
	await writeFile(`${odd}/odd`, 'x');
	const change = (spec: LaunchSpec): LaunchSpec => ({...spec, rootfs: {...spec.rootfs, lowerDirs: [odd, ...spec.rootfs.lowerDirs], readonly: true}});
	const {lines} = await run('stat -c %u:%g /odd; touch /x 2>/dev/null || echo ro; mount -o remount,rw / 2>/dev/null && echo rw; id -u', spec =>
		withEverything(change(spec)),
	);
	t.deepEqual(lines, ['0:0', 'ro', '0']);
	const volume = `${rig.dir}/volume`;
	await mkdir(`${volume}/sub`, {recursive: true});
	await command('mount', '--bind', volume, volume);
	try {
		await command('mount', '--make-shared', volume);
		const container = await start('while [ ! -e /volume/sub/there ]; do usleep 10000; done; echo came', spec => ({
			...withMounts({...bind(volume, '/volume', true), propagation: 'slave'} as MountSpec)(spec),
			rootfs: {...spec.rootfs, propagation: 'slave'},
		}));
		await command('mount', '-t', 'tmpfs', 'none', `${volume}/sub`);
		await writeFile(`${volume}/sub/there`, '');
		t.is((await rig.exitOf(container.containerId)).exitCode, 0);
	} finally {
		await command('umount', '-R', volume);
	}
});

podTest("the user's files, a closed working directory, setuid programs", async (t, {rig, run}) => {
	await writeFile(`${rig.dir}/root/lower/etc/passwd`, 'root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n');
	await mkdir(`${rig.dir}/root/lower/closed`, {mode: 0o700});
	const script = 'id -u; id -g; echo $HOME; pwd; echo by-path > /dev/stdout; /bin/nnp';
	// Prints its effective uid.
	await copyFile(`${IMAGE_FILES_DIR}/nnp`, `${rig.dir}/root/lower/bin/nnp`);
	await chmod(`${rig.dir}/root/lower/bin/nnp`, 0o4755);
	const {lines, exitCode} = await run(script, spec => ({
		...spec,
		process: {...shellProcess(script), noNewPrivileges: false, cwd: '/closed', user: {...spec.process.user, spec: 'app'}},
		symlinks: [['/dev/stdout', '/proc/self/fd/1']],
	}));
	t.deepEqual([lines, exitCode], [['1000', '1001', '/home/app', '/closed', 'by-path', 'Effective uid: 0'], 0]);
});
