import test from 'ava';
import {silentLog} from '../../base/log.js';
import {detectCgroups} from '../cgroup/hierarchies.js';
import type {ContainerRecord} from '../container/record.js';
import {CpuSamples, readContainerStats} from './container-stats.js';

const V1 = '32 31 0:29 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n';
const V2 = '41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n';

/** A runtime over files that are given by path; counts the passes. */
function runtimeOver(mountinfo: string, files: Readonly<Record<string, string>>) {
	const passes: number[] = [];
	const kernel = {
		readFiles: async (paths: readonly string[]) => {
			passes.push(paths.length);
			return paths.map(path => (path in files ? Buffer.from(files[path] ?? '') : null));
		},
	};
	const images = {
		snapshotUsage: async (id: string) => {
			if (id === 'broken') throw new Error('EIO');
			return id === 'a' ? {bytes: 4096, inodes: 2} : null;
		},
		fsInfo: () => ({containerFs: {mountpoint: '/var', bytes: 0, inodes: 0}}),
	};
	const runtime = {kernel, images, clock: {nowNs: () => 7n}, cgroups: detectCgroups(mountinfo), cpuSamples: new CpuSamples(), log: silentLog};
	return {passes, runtime: runtime as never};
}

const record = (id: string): ContainerRecord => ({id, cgroupPath: `/pod/${id}`}) as ContainerRecord;

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
		writableLayer: {mountpoint: '/var', usedBytes: 4096n, inodesUsed: 2n},
	});
	t.deepEqual(gone, {containerId: 'gone', timestampNs: 7n, cpu: null, memory: null, swap: null, pids: null, writableLayer: null});
});

test('readContainerStats reads the unified hierarchy where there is no other', async t => {
	const dir = '/sys/fs/cgroup/pod/a';
	const {runtime} = runtimeOver(V2, {[`${dir}/cpu.stat`]: 'usage_usec 2\n', [`${dir}/pids.current`]: '3\n', [`${dir}/memory.swap.current`]: '0\n'});
	const [a] = await readContainerStats(runtime, [record('a')]);
	t.like(a, {cpu: {usageCoreNs: 2000n}, pids: 3n, memory: null, swap: {usageBytes: 0n, availableBytes: null}});
});

test('readContainerStats goes on when a writable layer cannot be counted', async t => {
	const {runtime} = runtimeOver(V2, {});
	const [broken, a] = await readContainerStats(runtime, [record('broken'), record('a')]);
	t.is(broken?.writableLayer, null);
	t.is(a?.writableLayer?.usedBytes, 4096n);
});
