import test from 'ava';
import {InvalidArgumentError, UnavailableError} from '../../base/errors.js';
import {absoluteDirs, assertCgroupPath, detectCgroups, mountSpecs, openCgroups, v1Dir} from './hierarchies.js';

const HYBRID = `23 20 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:30 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd
34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:12 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset,clone_children
36 31 0:33 / /sys/fs/cgroup/net_cls,net_prio rw - cgroup cgroup rw,net_cls,net_prio
37 40 0:31 / /mnt/with\\040blank/cpu rw - cgroup cgroup rw,cpu,cpuacct
`;
const UNIFIED = '30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n';

test('detectCgroups of a hybrid machine: v1 hierarchies with their controllers, and the unified one', t => {
	const hierarchies = detectCgroups(HYBRID);
	t.is(hierarchies.mode, 'hybrid');
	t.deepEqual(hierarchies.unified, {mountpoint: '/sys/fs/cgroup/unified', controllers: []});
	t.deepEqual(hierarchies.v1, [
		{mountpoint: '/sys/fs/cgroup/systemd', controllers: ['name=systemd']},
		{mountpoint: '/sys/fs/cgroup/cpu,cpuacct', controllers: ['cpu', 'cpuacct']},
		{mountpoint: '/sys/fs/cgroup/cpuset', controllers: ['cpuset']},
		{mountpoint: '/sys/fs/cgroup/net_cls,net_prio', controllers: ['net_cls', 'net_prio']},
	]);
});

test('detectCgroups of a unified machine is v2, also with a named v1 hierarchy without controllers', t => {
	t.deepEqual(detectCgroups(UNIFIED), {mode: 'v2', v1: [], unified: {mountpoint: '/sys/fs/cgroup', controllers: []}});
	t.is(detectCgroups(`${UNIFIED}33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n`).mode, 'v2');
});

test('detectCgroups without a unified hierarchy is v1', t => t.is(detectCgroups('34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n').mode, 'v1'));

test('detectCgroups takes the mount below /sys/fs/cgroup, whichever comes first', t => {
	const other = '50 40 0:26 / /mnt/with\\040blank rw - cgroup2 cgroup2 rw\n';
	t.is(detectCgroups(other + UNIFIED).unified?.mountpoint, '/sys/fs/cgroup');
	t.is(detectCgroups(UNIFIED + other).unified?.mountpoint, '/sys/fs/cgroup');
	t.is(detectCgroups(other).unified?.mountpoint, '/mnt/with blank');
});

test('detectCgroups without any hierarchy is an error', t => {
	t.throws(() => detectCgroups('23 20 0:20 / /sys rw - sysfs sysfs rw\n'), {
		instanceOf: UnavailableError,
		message: 'no cgroup hierarchy is mounted below /sys/fs/cgroup',
	});
});

test('openCgroups finds what this machine has', async t => t.true((await openCgroups()).mode.length > 0));

test('absoluteDirs has one directory per hierarchy, the unified one last', t => {
	t.deepEqual(absoluteDirs(detectCgroups(HYBRID), '/kubepods/pod1'), [
		'/sys/fs/cgroup/systemd/kubepods/pod1',
		'/sys/fs/cgroup/cpu,cpuacct/kubepods/pod1',
		'/sys/fs/cgroup/cpuset/kubepods/pod1',
		'/sys/fs/cgroup/net_cls,net_prio/kubepods/pod1',
		'/sys/fs/cgroup/unified/kubepods/pod1',
	]);
});

test('v1Dir finds a co-mounted controller, and null for one that is not mounted', t => {
	t.is(v1Dir(detectCgroups(HYBRID), 'cpuacct', '/a'), '/sys/fs/cgroup/cpu,cpuacct/a');
	t.is(v1Dir(detectCgroups(HYBRID), 'memory', '/a'), null);
});

test('mountSpecs names hierarchies as the host does', t => {
	t.deepEqual(mountSpecs(detectCgroups(UNIFIED)), [{name: '', fstype: 'cgroup2', options: ''}]);
	t.deepEqual(mountSpecs(detectCgroups(HYBRID)), [
		{name: 'systemd', fstype: 'cgroup', options: 'name=systemd'},
		{name: 'cpu,cpuacct', fstype: 'cgroup', options: 'cpu,cpuacct'},
		{name: 'cpuset', fstype: 'cgroup', options: 'cpuset'},
		{name: 'net_cls,net_prio', fstype: 'cgroup', options: 'net_cls,net_prio'},
		{name: 'unified', fstype: 'cgroup2', options: ''},
	]);
});

for (const path of ['kubepods', '', '/a/../../etc', '/a/./b', '/..', '/a\0', '/a\nb', `/${'x'.repeat(256)}`]) {
	test(`the cgroup path ${JSON.stringify(path.slice(0, 20))} is refused`, t => {
		t.throws(() => assertCgroupPath('linux.cgroup_parent', path), {instanceOf: InvalidArgumentError, message: /^linux\.cgroup_parent .* must be absolute/s});
		t.throws(() => absoluteDirs(detectCgroups(UNIFIED), path), {instanceOf: InvalidArgumentError});
	});
}
