import test from 'ava';
import {sandboxRecord} from '../fake-records.js';
import {toMonitorRequest} from '../spec/sandbox-config.js';
import {detectCgroups} from './hierarchies.js';
import {toCgroupName, toPodCgroupDirs, toPodCgroupName} from './names.js';

const ID = 'ab'.repeat(32);
const V2 = detectCgroups('30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n');
const HYBRID = detectCgroups(
	['cpu,cpuacct', 'memory', 'devices']
		.map((names, index) => `3${index} 24 0:2${index} / /c/${names} rw - cgroup cgroup rw,${names}\n`)
		.concat('39 24 0:29 / /c/unified rw - cgroup2 cgroup2 rw\n')
		.join(''),
);
const pod = {...sandboxRecord('web'), cgroupParent: '/kubepods/pod1', attachment: {} as never};

test('cgroups are named by ids, or as cAdvisor knows those of CRI-O', t => {
	t.is(toCgroupName({identity: 'berth', cgroupDriver: 'cgroupfs'}, ID), ID);
	t.is(toCgroupName({identity: 'berth', cgroupDriver: 'systemd'}, ID), ID);
	t.is(toCgroupName({identity: 'cri-o', cgroupDriver: 'cgroupfs'}, ID), `crio-${ID}`);
	t.is(toCgroupName({identity: 'cri-o', cgroupDriver: 'systemd'}, ID), `crio-${ID}.scope`);
});

test('only pods with a network of their own have a cgroup that stands for them, and only for cAdvisor', t => {
	t.is(toPodCgroupName({identity: 'cri-o', cgroupDriver: 'cgroupfs'}, pod), `crio-${pod.id}`);
	t.is(toPodCgroupName({identity: 'cri-o', cgroupDriver: 'cgroupfs'}, {...pod, attachment: null}), null);
	t.is(toPodCgroupName({identity: 'berth', cgroupDriver: 'cgroupfs'}, pod), null);
});

test('it is in one hierarchy of v1, the cheapest', t => {
	t.deepEqual(toPodCgroupDirs(V2, '/p/c'), ['/c/p/c']);
	t.deepEqual(toPodCgroupDirs(HYBRID, '/p/c'), ['/c/devices/p/c']);
	t.deepEqual(toPodCgroupDirs({...HYBRID, v1: HYBRID.v1.slice(0, 2)}, '/p/c'), ['/c/cpu,cpuacct/p/c']);
});

test("it is made after the pod's own, with the monitor; in a scope of systemd's nothing is", t => {
	const place = {hierarchies: V2, shmSizeBytes: 1, selinux: false};
	const dirs = (identity: 'berth' | 'cri-o', cgroupParent: string) =>
		toMonitorRequest({...pod, cgroupParent}, {...place, naming: {identity, cgroupDriver: 'cgroupfs'}}).cgroup.dirs;
	t.deepEqual(dirs('berth', '/kubepods/pod1'), ['/c/kubepods', '/c/kubepods/pod1']);
	t.deepEqual(dirs('cri-o', '/kubepods/pod1'), ['/c/kubepods', '/c/kubepods/pod1', `/c/kubepods/pod1/crio-${pod.id}`]);
	t.deepEqual(dirs('cri-o', `/kubepods.slice/berth-${pod.id}.scope`), []);
});
