import {chmod, copyFile, mkdir, stat, writeFile} from 'node:fs/promises';
import test from 'ava';
import {IMAGE_FILES_DIR, shellProcess, until} from './launch-rig.js';
import {asUser, podTestOf, withEverything, withMounts} from './user-namespace-rig.js';

const podTest = podTestOf(test);
const execLimits = {timeoutMs: 0, maxOutputBytes: 1 << 20};
const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

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
