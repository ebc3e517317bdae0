import test from 'ava';
import {silentLog} from '../../base/log.js';
import {detectCgroups} from '../cgroup/hierarchies.js';
import type {ContainerRecord} from '../container/record.js';
import {containerRecord, sandboxRecord} from '../fake-records.js';
import {CpuSamples, hasVanished, readContainerStats} from './container-stats.js';
import {readSandboxStats} from './sandbox-stats.js';

const V1 =
	'32 31 0:29 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n36 31 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n';
const UNIFIED = '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n';
const V2 = '41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n';
const PRESSURE = 'some avg10=1.00 avg60=2.00 avg300=3.00 total=4\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n';
const NO_PRESSURE = {cpu: null, memory: null, io: null};

/** A runtime over files that are given by path; counts the passes. */
function runtimeOver(mountinfo: string, files: Readonly<Record<string, string>>, more: object = {}) {
	const passes: (readonly string[])[] = [];
	const kernel = {
		readFiles: async (paths: readonly string[]) => {
			passes.push(paths);
			return paths.map(path => (path in files ? Buffer.from(files[path] ?? '') : null));
		},
	};
	const images = {
		snapshotUsages: async (keys: readonly string[]) => new Map(keys.filter(key => key === 'a').map(key => [key, {bytes: 4096, inodes: 2, countedAtNs: 5n}])),
		fsInfo: () => ({containerFs: {mountpoint: '/var', bytes: 0, inodes: 0}}),
	};
	const clock = {nowNs: () => 7n, monotonicMs: () => 1000};
	const runtime = {kernel, images, clock, cgroups: detectCgroups(mountinfo), cpuSamples: new CpuSamples(), log: silentLog, ...more};
	return {passes, runtime: runtime as never};
}

const record = (id: string): ContainerRecord => ({id, cgroupPath: `/pod/${id}`, state: {phase: 'running', startedAtNs: 1n}}) as ContainerRecord;

test('readContainerStats reads all containers in one pass, and one that is gone harms no other', async t => {
	const {runtime, passes} = runtimeOver(V1, {
		'/sys/fs/cgroup/cpuacct/pod/a/cpuacct.usage': '100\n',
		'/sys/fs/cgroup/memory/pod/a/memory.usage_in_bytes': '8192\n',
		'/sys/fs/cgroup/memory/pod/a/memory.stat': 'total_inactive_file 4096\ntotal_rss 1024\n',
	});
	const [a, gone] = await readContainerStats(runtime, [record('a'), record('gone')]);
	t.is(passes.length, 1);
	t.like(a, {
		containerId: 'a',
		timestampNs: 7n,
		cpu: {usageCoreNs: 100n, usageNanoCores: null},
		memory: {workingSetBytes: 4096n, rssBytes: 1024n},
		pids: null,
		pressure: NO_PRESSURE,
		// Counted before the files were read.
		writableLayer: {mountpoint: '/var', usedBytes: 4096n, inodesUsed: 2n, timestampNs: 5n},
	});
	t.deepEqual(gone, {containerId: 'gone', timestampNs: 7n, cpu: null, memory: null, swap: null, pids: null, pressure: NO_PRESSURE, writableLayer: null});
	t.false(hasVanished(record('a'), a!));
	t.true(hasVanished(record('gone'), gone!));
	t.false(hasVanished({...record('gone'), state: {phase: 'exited'} as never}, gone!));
});

test('readContainerStats reads the unified hierarchy where there is no other', async t => {
	const dir = '/sys/fs/cgroup/pod/a';
	const {runtime, passes} = runtimeOver(V2, {
		[`${dir}/cpu.stat`]: 'usage_usec 2\n',
		[`${dir}/pids.current`]: '3\n',
		[`${dir}/memory.swap.current`]: '0\n',
		[`${dir}/io.pressure`]: PRESSURE,
	});
	const [a] = await readContainerStats(runtime, [record('a')]);
	t.like(a, {cpu: {usageCoreNs: 2000n}, pids: 3n, memory: null, swap: {usageBytes: 0n, availableBytes: null}});
	t.like(a?.pressure.io, {some: {totalNs: 4000n, avg10: 1, avg60: 2, avg300: 3}, full: {totalNs: 5000n}});
	t.true(passes[0]?.every(path => path.startsWith(dir)));
});

test('readContainerStats reads pressure of the unified hierarchy beside v1 on a hybrid machine', async t => {
	const {runtime} = runtimeOver(V1 + UNIFIED, {
		'/sys/fs/cgroup/cpuacct/pod/a/cpuacct.usage': '100\n',
		'/sys/fs/cgroup/unified/pod/a/cpu.pressure': PRESSURE,
		// Of the unified hierarchy, whose controllers are v1's here.
		'/sys/fs/cgroup/unified/pod/a/cpu.stat': 'usage_usec 99\n',
	});
	const [a] = await readContainerStats(runtime, [record('a')]);
	t.is(a?.cpu?.usageCoreNs, 100n);
	t.is(a?.pressure.cpu?.some.totalNs, 4000n);
	t.is(a?.pressure.memory, null);
});

test('readContainerStats goes on when writable layers cannot be counted', async t => {
	const images = {
		snapshotUsages: async () => {
			throw new Error('EIO');
		},
		fsInfo: () => ({containerFs: {mountpoint: '/var'}}),
	};
	const {runtime} = runtimeOver(V2, {'/sys/fs/cgroup/pod/a/cpu.stat': 'usage_usec 2\n'}, {images});
	const [a] = await readContainerStats(runtime, [record('a')]);
	t.is(a?.writableLayer, null);
	t.is(a?.cpu?.usageCoreNs, 2000n);
});

test('readSandboxStats reads pods, their networks and their live containers in one pass, and leaves out those that ended', async t => {
	const pod = {...sandboxRecord('p'), attachment: {} as never};
	const hostPod = sandboxRecord('host');
	const running: ContainerRecord = {...containerRecord('running', pod), state: {phase: 'running', startedAtNs: 1n}};
	const created = containerRecord('created', pod);
	const ended: ContainerRecord = {...containerRecord('ended', pod), state: {phase: 'running', startedAtNs: 1n}};
	const exited = {...containerRecord('exited', pod), state: {phase: 'exited'} as never};
	const root = '/sys/fs/cgroup';
	const {runtime, passes} = runtimeOver(
		V2,
		{
			[`${root}${pod.cgroupParent}/cpu.stat`]: 'usage_usec 9\n',
			[`${root}${pod.cgroupParent}/pids.current`]: '4\n',
			[`${root}${running.cgroupPath}/cpu.stat`]: 'usage_usec 5\n',
			[`${root}${created.cgroupPath}/cpu.stat`]: 'usage_usec 1\n',
			'/proc/77/net/dev': 'eth0: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n',
			'/proc/78/net/dev': 'eth0: 999 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n',
		},
		{
			state: {containersOf: (id: string) => (id === pod.id ? [running, created, ended, exited] : [])},
			monitors: {find: (id: string) => ({pid: id === pod.id ? 77 : 78})},
		},
	);
	const [stats, host] = await readSandboxStats(runtime, [pod, hostPod]);
	t.is(passes.length, 1);
	t.false(passes[0]?.some(path => path.includes('exited')));
	t.is(stats?.cpu?.usageCoreNs, 9000n);
	t.is(stats?.pids, 4n);
	t.is(stats?.network?.defaultInterface?.tx.bytes, 20n);
	t.deepEqual(
		stats?.containers.map(({containerId, cpu}) => [containerId, cpu?.usageCoreNs]),
		[
			[running.id, 5000n],
			[created.id, 1000n],
		],
	);
	// Counters of the host's network are not the pod's.
	t.is(host?.network, null);
	t.deepEqual(host?.containers, []);
});
