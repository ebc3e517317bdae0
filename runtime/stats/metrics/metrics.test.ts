import {mkdir, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {detectCgroups} from '../../cgroup/hierarchies.js';
import {FilePass} from '../file-pass.js';
import {addCpuMetrics, addLimitMetrics, addMemoryMetrics, addOomMetrics, addPressureMetrics, hugetlbMetrics} from './cgroup-metrics.js';
import {diskMetrics, parseMaxOpenFiles, processMetrics} from './container-metrics.js';
import {DESCRIPTORS, listDescriptors, METRIC_GROUPS} from './descriptors.js';
import {addDiskIoMetrics} from './disk-metrics.js';
import {findHugepageSizes} from './hugepage-sizes.js';
import type {AddMetrics, MetricFacts} from './metric.js';

const V1 = ['cpu', 'cpuacct', 'memory', 'blkio', 'pids', 'hugetlb'].map(name => `1 1 0:1 / /cg/${name} rw - cgroup cgroup rw,${name}\n`).join('');
const HYBRID = `${V1}1 1 0:2 / /cg/unified rw - cgroup2 cgroup2 rw\n`;
const V2 = '1 1 0:2 / /cg rw - cgroup2 cgroup2 rw\n';
const DISKSTATS = '   7       0 loop0 1 2 3\n 254       0 vda 75330 1 2 3\n';

/** The metrics that a group makes of files, as "name{labels} value". */
async function read(add: AddMetrics, mountinfo: string, files: Readonly<Record<string, string>>): Promise<readonly string[]> {
	const pass = new FilePass();
	const reader = add(pass, {hierarchies: detectCgroups(mountinfo), cgroupPath: '/c'});
	await pass.run({readFiles: async paths => paths.map(path => (path in files ? Buffer.from(files[path] ?? '') : null))});
	return reader().map(toText);
}

function toText({name, labels, value, timestampNs}: MetricFacts): string {
	return `${name.replace('container_', '')}{${labels.join()}} ${value}${timestampNs === 0n ? '' : ` @${timestampNs}`}`;
}

test('CPU of v1, in whole seconds', async t => {
	t.deepEqual(
		await read(addCpuMetrics, V1, {
			'/cg/cpuacct/c/cpuacct.usage': '7999999999\n',
			'/cg/cpuacct/c/cpuacct.usage_user': '5000000000\n',
			'/cg/cpuacct/c/cpuacct.usage_sys': '2999999999\n',
			'/cg/cpu/c/cpu.stat': 'nr_periods 10\nnr_throttled 4\nthrottled_time 3000000001\n',
		}),
		[
			'cpu_user_seconds_total{} 5',
			'cpu_system_seconds_total{} 2',
			'cpu_usage_seconds_total{total} 7',
			'cpu_cfs_periods_total{} 10',
			'cpu_cfs_throttled_periods_total{} 4',
			'cpu_cfs_throttled_seconds_total{} 3',
		],
	);
});

test('CPU of v2; without the cpu controller there is no throttling', async t => {
	const stat = 'usage_usec 7999999\nuser_usec 5000000\nsystem_usec 2999999\n';
	const expected = ['cpu_user_seconds_total{} 5', 'cpu_system_seconds_total{} 2', 'cpu_usage_seconds_total{total} 7'];
	t.deepEqual(await read(addCpuMetrics, V2, {'/cg/c/cpu.stat': stat}), expected);
	t.deepEqual(await read(addCpuMetrics, V2, {'/cg/c/cpu.stat': `${stat}nr_periods 10\nnr_throttled 4\nthrottled_usec 3000001\n`}), [
		...expected,
		'cpu_cfs_periods_total{} 10',
		'cpu_cfs_throttled_periods_total{} 4',
		'cpu_cfs_throttled_seconds_total{} 3',
	]);
});

test('memory of v1: sums over children, hits of both limits, faults of the container alone and with its children', async t => {
	const stat =
		'pgfault 5\npgmajfault 1\ntotal_cache 300\ntotal_rss 200\ntotal_mapped_file 10\ntotal_swap 7\ntotal_pgfault 50\ntotal_pgmajfault 2\ntotal_inactive_file 100\ntotal_active_file 150\n';
	t.deepEqual(
		await read(addMemoryMetrics, V1, {
			'/cg/memory/c/memory.usage_in_bytes': '1000\n',
			'/cg/memory/c/memory.stat': stat,
			'/cg/memory/c/memory.max_usage_in_bytes': '2000\n',
			'/cg/memory/c/memory.failcnt': '3\n',
			'/cg/memory/c/memory.memsw.failcnt': '4\n',
			'/cg/memory/c/memory.kmem.usage_in_bytes': '60\n',
		}),
		[
			'memory_cache{} 300',
			'memory_rss{} 200',
			'memory_kernel_usage{} 60',
			'memory_mapped_file{} 10',
			'memory_swap{} 7',
			'memory_failcnt{} 7',
			'memory_usage_bytes{} 1000',
			'memory_max_usage_bytes{} 2000',
			'memory_working_set_bytes{} 900',
			'memory_total_active_file_bytes{} 150',
			'memory_total_inactive_file_bytes{} 100',
			'memory_failures_total{pgfault,container} 5',
			'memory_failures_total{pgmajfault,container} 1',
			'memory_failures_total{pgfault,hierarchy} 50',
			'memory_failures_total{pgmajfault,hierarchy} 2',
		],
	);
});

test('memory of v2; what an older kernel lacks is absent', async t => {
	const metrics = await read(addMemoryMetrics, V2, {
		'/cg/c/memory.current': '1000\n',
		'/cg/c/memory.stat': 'anon 200\nfile 300\nfile_mapped 10\ninactive_file 100\nactive_file 150\npgfault 50\npgmajfault 2\n',
		'/cg/c/memory.swap.current': '7\n',
		'/cg/c/memory.events': 'low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\n',
	});
	for (const expected of ['memory_cache{} 300', 'memory_rss{} 200', 'memory_swap{} 7', 'memory_failcnt{} 9', 'memory_working_set_bytes{} 900'])
		t.true(metrics.includes(expected), expected);
	t.false(metrics.some(text => /max_usage|kernel/.test(text)));
	t.deepEqual(await read(addOomMetrics, V2, {'/cg/c/memory.events': 'oom 2\noom_kill 1\n'}), ['oom_events_total{} 1']);
	t.deepEqual(await read(addOomMetrics, V1, {'/cg/memory/c/memory.oom_control': 'under_oom 0\noom_kill 3\n'}), ['oom_events_total{} 3']);
});

test('pressure on a hybrid machine is of the unified hierarchy', async t => {
	const text = 'some avg10=0.00 avg60=0.00 avg300=0.00 total=5999999\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n';
	t.deepEqual(await read(addPressureMetrics, HYBRID, {'/cg/unified/c/memory.pressure': text}), [
		'pressure_memory_stalled_seconds_total{} 1',
		'pressure_memory_waiting_seconds_total{} 5',
	]);
});

test('limits of v1 and v2: no limit of memory is 0, no quota is absent', async t => {
	t.deepEqual(
		await read(addLimitMetrics, V1, {
			'/cg/cpu/c/cpu.cfs_period_us': '100000\n',
			'/cg/cpu/c/cpu.cfs_quota_us': '-1\n',
			'/cg/memory/c/memory.limit_in_bytes': '9223372036854771712\n',
			'/cg/memory/c/memory.soft_limit_in_bytes': '500\n',
		}),
		['spec_cpu_period{} 100000', 'spec_memory_limit_bytes{} 0', 'spec_memory_reservation_limit_bytes{} 500'],
	);
	t.deepEqual(
		await read(addLimitMetrics, V2, {
			'/cg/c/cpu.max': '20000 50000\n',
			'/cg/c/memory.max': '900\n',
			'/cg/c/memory.swap.max': 'max\n',
			'/cg/c/memory.min': '0\n',
		}),
		[
			'spec_cpu_period{} 50000',
			'spec_cpu_quota{} 20000',
			'spec_memory_limit_bytes{} 900',
			'spec_memory_swap_limit_bytes{} 0',
			'spec_memory_reservation_limit_bytes{} 0',
		],
	);
	t.deepEqual(await read(addLimitMetrics, V2, {'/cg/c/cpu.max': 'max 100000\n'}), ['spec_cpu_period{} 100000']);
});

test('huge pages by size', async t => {
	t.deepEqual(await read(hugetlbMetrics(['2MB', '1GB']), V2, {'/cg/c/hugetlb.2MB.current': '4194304\n', '/cg/c/hugetlb.1GB.current': '0\n'}), [
		'hugetlb_usage_bytes{2MB} 4194304',
		'hugetlb_usage_bytes{1GB} 0',
	]);
	const directory = await mkdtemp(join(tmpdir(), 'hugepages-'));
	try {
		for (const name of ['hugepages-1048576kB', 'hugepages-2048kB', 'hugepages-64kB', 'other']) await mkdir(join(directory, name));
		t.deepEqual([...(await findHugepageSizes(directory))].toSorted(), ['1GB', '2MB', '64KB']);
		t.deepEqual(await findHugepageSizes(join(directory, 'none')), []);
	} finally {
		await rm(directory, {recursive: true});
	}
});

test('disk I/O of v1 by device, with the device named as cAdvisor does', async t => {
	t.deepEqual(
		await read(addDiskIoMetrics, V1, {
			'/proc/diskstats': DISKSTATS,
			'/cg/blkio/c/blkio.throttle.io_service_bytes_recursive': '254:0 Read 4096\n254:0 Write 8192\n254:0 Total 12288\n9:9 Read 1\nTotal 12289\n',
			'/cg/blkio/c/blkio.throttle.io_serviced_recursive': '254:0 Read 1\n254:0 Write 2\n254:0 Total 3\nTotal 3\n',
		}),
		[
			'fs_reads_bytes_total{/dev/vda} 4096',
			'fs_writes_bytes_total{/dev/vda} 8192',
			'fs_reads_bytes_total{9:9} 1',
			'fs_reads_total{/dev/vda} 1',
			'fs_writes_total{/dev/vda} 2',
			'blkio_device_usage_total{/dev/vda,254,0,Read} 4096',
			'blkio_device_usage_total{/dev/vda,254,0,Write} 8192',
			'blkio_device_usage_total{/dev/vda,254,0,Total} 12288',
			'blkio_device_usage_total{9:9,9,9,Read} 1',
		],
	);
});

test('disk I/O of v2 by device; a device without I/O has an empty line', async t => {
	t.deepEqual(
		await read(addDiskIoMetrics, V2, {
			'/proc/diskstats': DISKSTATS,
			'/cg/c/io.stat': '254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:0 \n',
		}),
		[
			'fs_reads_bytes_total{/dev/vda} 4096',
			'fs_writes_bytes_total{/dev/vda} 8192',
			'fs_reads_total{/dev/vda} 1',
			'fs_writes_total{/dev/vda} 2',
			'blkio_device_usage_total{/dev/vda,254,0,Read} 4096',
			'blkio_device_usage_total{/dev/vda,254,0,Write} 8192',
			'blkio_device_usage_total{/dev/vda,254,0,Discard} 0',
		],
	);
	t.deepEqual(await read(addDiskIoMetrics, V1, {'/cg/blkio/c/blkio.throttle.io_service_bytes_recursive': 'Total 0\n'}), []);
});

test('the usage of a writable layer has the time of its count, what the filesystem says has none', t => {
	const filesystem = {device: '/dev/vda', totalBytes: 100n, totalInodes: 10n, freeInodes: 4n};
	t.deepEqual(diskMetrics({mountpoint: '/m', usedBytes: 5n, inodesUsed: 2n, timestampNs: 77n}, filesystem).map(toText), [
		'fs_inodes_free{/dev/vda} 4',
		'fs_inodes_total{/dev/vda} 10',
		'fs_limit_bytes{/dev/vda} 100',
		'fs_usage_bytes{/dev/vda} 5 @77',
	]);
	t.is(diskMetrics(null, filesystem).length, 3);
});

test('processes and open files', t => {
	t.deepEqual(processMetrics({processes: 2, descriptors: 9, sockets: 1}).map(toText), ['processes{} 2', 'file_descriptors{} 9', 'sockets{} 1']);
	t.deepEqual(processMetrics(null), []);
	t.is(parseMaxOpenFiles('Max processes 5 6 processes\nMax open files            1024                 4096                 files     \n'), 1024n);
	t.is(parseMaxOpenFiles('Max open files            unlimited            unlimited            files     \n'), null);
	t.is(parseMaxOpenFiles(null), null);
});

test('descriptors: each name once, groups can be left out, what is always there stays', t => {
	const all = listDescriptors(METRIC_GROUPS);
	t.is(new Set(all.map(({name}) => name)).size, all.length);
	t.is(DESCRIPTORS.size, all.length);
	t.deepEqual(
		listDescriptors([]).map(({name}) => name),
		['container_last_seen'],
	);
	const some = listDescriptors(['network', 'oom']);
	t.is(some.length, 10);
	t.deepEqual(some.at(-1)?.labelKeys, ['id', 'image', 'namespace', 'pod', 'container', 'interface']);
});

test('the devices of 250 containers: diskstats is decoded once, and no expression is compiled for a value', async t => {
	const pass = new FilePass();
	const hierarchies = detectCgroups(V2);
	const readers = Array.from({length: 250}, (_, i) => addDiskIoMetrics(pass, {hierarchies, cgroupPath: `/c${i}`}));
	const read = {diskstats: 0};
	const content = Buffer.from(DISKSTATS);
	const diskstats = new Proxy(content, {
		get: (target, key) => {
			// What decoding it begins with.
			if (key === 'byteOffset') read.diskstats++;
			return Reflect.get(target, key, target) as unknown;
		},
	});
	await pass.run({readFiles: async paths => paths.map(path => (path === '/proc/diskstats' ? diskstats : Buffer.from('254:0 rbytes=1 wbytes=2\n')))});
	const original = globalThis.RegExp;
	const compiled: unknown[] = [];
	globalThis.RegExp = new Proxy(original, {
		construct: (target, args: [string, string]) => {
			compiled.push(args[0]);
			return new target(...args);
		},
	});
	let metrics: readonly MetricFacts[];
	try {
		metrics = readers.flatMap(reader => reader());
	} finally {
		globalThis.RegExp = original;
	}
	t.true(metrics.length >= 4 * 250);
	t.true(metrics.every(({labels}) => labels[0] === '/dev/vda'));
	t.deepEqual({...read, compiled: compiled.length}, {diskstats: 1, compiled: 0});
});
