import {chown, mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import test from 'ava';
import {SyscallError} from '../base/errors.js';
import {LaunchRig} from './launch-rig.js';
import type {DeviceSpec, LaunchSpec, MountSpec} from './native.js';
import {asUser, bind, FIRST, openPod, podTestOf, withEverything, withMounts} from './user-namespace-rig.js';

const podTest = podTestOf(test);
const SECOND = {uids: {first: 400_000, count: 65_536}, gids: {first: 500_000, count: 65_536}} as const;
const command = async (file: string, ...args: readonly string[]): Promise<unknown> => await promisify(execFile)(file, args);

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
		// Reading alone is for everybody where kernel.dmesg_restrict is 0.
		'dmesg -c',
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
