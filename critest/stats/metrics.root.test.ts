import {stat, statfs} from 'node:fs/promises';
import test from 'ava';
import type {Metric__Output, PodSandboxMetrics__Output} from '../../proto/cri.js';
import type {Daemon} from '../rig/daemon.js';
import {BUSYBOX_IMAGE} from '../fixtures/images.js';
import {createContainer, pullBusybox, removePod, runContainer, runPod, statusOf, toContainerConfig, until} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {cgroupOf} from './cgroup-files.js';
import {execute, pidOf, allOf} from './measured.js';

const running = useDaemon(test);
const MIB = 1024 * 1024;
const EXITED = 2;
/** CRI v1. */
const COUNTER = 0 as Metric__Output['metric_type'];
const GAUGE = 1 as Metric__Output['metric_type'];

/** What critest of the CRI's main branch expects (cri-tools pkg/validate/pod.go), as the kubelet with cAdvisor shows them. */
const EXPECTED =
	`container_blkio_device_usage_total container_cpu_cfs_periods_total container_cpu_cfs_throttled_periods_total container_cpu_cfs_throttled_seconds_total
container_cpu_system_seconds_total container_cpu_usage_seconds_total container_cpu_user_seconds_total container_file_descriptors container_fs_inodes_free
container_fs_inodes_total container_fs_limit_bytes container_fs_reads_bytes_total container_fs_reads_total container_fs_usage_bytes container_fs_writes_bytes_total
container_fs_writes_total container_hugetlb_max_usage_bytes container_hugetlb_usage_bytes container_last_seen container_memory_cache container_memory_failcnt
container_memory_failures_total container_memory_kernel_usage container_memory_mapped_file container_memory_max_usage_bytes container_memory_rss container_memory_swap
container_memory_usage_bytes container_memory_working_set_bytes container_network_receive_bytes_total container_network_receive_errors_total
container_network_receive_packets_dropped_total container_network_receive_packets_total container_network_transmit_bytes_total container_network_transmit_errors_total
container_network_transmit_packets_dropped_total container_network_transmit_packets_total container_oom_events_total container_pressure_cpu_stalled_seconds_total
container_pressure_cpu_waiting_seconds_total container_pressure_io_stalled_seconds_total container_pressure_io_waiting_seconds_total
container_pressure_memory_stalled_seconds_total container_pressure_memory_waiting_seconds_total container_processes container_sockets container_spec_cpu_period
container_spec_cpu_quota container_spec_cpu_shares container_spec_memory_limit_bytes container_spec_memory_reservation_limit_bytes
container_spec_memory_swap_limit_bytes container_start_time_seconds container_threads container_threads_max container_ulimits_soft`.split(/\s+/);

/** Those that need something of the machine: a block device below the layers, PSI, huge pages, a recent kernel. */
const MAY_LACK = /^container_(?:blkio|fs_reads|fs_writes|hugetlb|pressure|memory_max_usage|memory_kernel|memory_swap|spec_memory_swap)/;

async function podMetrics({cri}: Daemon, id: string): Promise<PodSandboxMetrics__Output> {
	const {pod_metrics} = await cri.call('ListPodSandboxMetrics', {});
	const found = pod_metrics.find(({pod_sandbox_id}) => pod_sandbox_id === id);
	if (found === undefined) throw new Error('the pod has no metrics');
	return found;
}

function valuesOf(metrics: readonly Metric__Output[], name: string, ...labels: readonly string[]): readonly number[] {
	return metrics
		.filter(metric => metric.name === name && labels.every((label, index) => metric.label_values[BASE.length + index] === label))
		.map(({value}) => Number(value?.value));
}
const BASE = ['id', 'image', 'namespace', 'pod', 'container'];

async function ofContainer(daemon: Daemon, podId: string, containerId: string): Promise<readonly Metric__Output[]> {
	return (await podMetrics(daemon, podId)).container_metrics.find(({container_id}) => container_id === containerId)?.metrics ?? [];
}

test.serial('every metric that is listed is described, with as many labels; every one that users know is described, and has a value', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'described');
	const resources = {cpu_period: 100_000, cpu_quota: 20_000, cpu_shares: 1024, memory_limit_in_bytes: 64 * MIB, memory_swap_limit_in_bytes: 64 * MIB};
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sleep', '1000'], {linux: {resources}}));
	const {descriptors} = await cri.call('ListMetricDescriptors', {});
	const byName = new Map(descriptors.map(descriptor => [descriptor.name, descriptor]));
	t.is(byName.size, descriptors.length);
	for (const {name, help, label_keys} of descriptors) {
		t.deepEqual(label_keys.slice(0, BASE.length), BASE, name);
		t.not(help, '');
	}
	t.deepEqual(
		EXPECTED.filter(name => !byName.has(name)),
		[],
	);
	const {metrics, container_metrics} = await podMetrics(daemon, pod.id);
	const own = container_metrics.find(({container_id}) => container_id === id)?.metrics ?? [];
	for (const {name, label_values, metric_type} of [...metrics, ...own]) {
		t.is(label_values.length, byName.get(name)?.label_keys.length ?? 0, name);
		t.is(metric_type, /_(?:total|failcnt)$/.test(name) && name !== 'container_fs_inodes_total' ? COUNTER : GAUGE, name);
	}
	const present = new Set([...metrics, ...own].map(({name}) => name));
	t.deepEqual(
		EXPECTED.filter(name => !present.has(name) && !MAY_LACK.test(name)),
		[],
	);
	// Prometheus takes each set of name and labels once.
	const series = [...metrics, ...own].map(({name, label_values}) => JSON.stringify([name, label_values]));
	t.is(new Set(series).size, series.length);
	t.deepEqual(own[0]?.label_values, [id, BUSYBOX_IMAGE, 'test', 'described', 'c']);
	t.deepEqual(metrics[0]?.label_values, [pod.id, '', 'test', 'described', 'POD', 'eth0']);
	await removePod(cri, pod);
});

test.serial('CPU, memory and limits are what the kernel counts for the container', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'values');
	const resources = {cpu_period: 50_000, cpu_quota: 10_000, cpu_shares: 512, memory_limit_in_bytes: 96 * MIB};
	const busy = `x=$(head -c ${16 * MIB} /dev/zero | tr '\\0' x); while :; do :; done`;
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sh', '-c', busy], {linux: {resources}}));
	const metrics = await until(
		'it used a second',
		() => ofContainer(daemon, pod.id, id),
		found => (valuesOf(found, 'container_cpu_usage_seconds_total', 'total')[0] ?? 0) >= 1 && (valuesOf(found, 'container_memory_rss')[0] ?? 0) >= 16 * MIB,
		120_000,
	);
	const value = (name: string, ...labels: string[]): number => {
		const [only, ...rest] = valuesOf(metrics, name, ...labels);
		t.is(rest.length, 0, name);
		return only ?? Number.NaN;
	};
	const cgroup = await cgroupOf(await pidOf(daemon, id));
	const usedNs =
		cgroup.version === 'v2' ? (await cgroup.stat(null, ['cpu.stat', 'usage_usec'])) * 1000n : await cgroup.number(['cpuacct', 'cpuacct.usage'], null);
	t.true(value('container_cpu_usage_seconds_total', 'total') <= Number(usedNs / 1_000_000_000n));
	// The two are told apart by ticks.
	const told = value('container_cpu_user_seconds_total') + value('container_cpu_system_seconds_total');
	t.true(told <= Number(usedNs / 1_000_000_000n) + 2, `${told} of ${usedNs} ns`);
	t.true(value('container_cpu_cfs_periods_total') > 0);
	t.true(value('container_cpu_cfs_throttled_periods_total') > 0);
	t.true(value('container_memory_rss') >= 16 * MIB);
	t.true(value('container_memory_usage_bytes') >= value('container_memory_rss'));
	t.true(value('container_memory_working_set_bytes') <= value('container_memory_usage_bytes'));
	t.true(value('container_memory_failures_total', 'pgfault', 'hierarchy') > 1000);
	t.is(value('container_spec_cpu_period'), 50_000);
	t.is(value('container_spec_cpu_quota'), 10_000);
	t.is(value('container_spec_cpu_shares'), 512);
	t.is(value('container_spec_memory_limit_bytes'), 96 * MIB);
	t.is(value('container_oom_events_total'), 0);
	const {started_at} = await statusOf(cri, id);
	t.is(value('container_start_time_seconds'), Number(BigInt(started_at) / 1_000_000_000n));
	t.true(value('container_last_seen') >= value('container_start_time_seconds'));
	await removePod(cri, pod);
});

test.serial('processes, threads, descriptors and sockets are counted over all of the container', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'processes');
	const script = 'httpd -f -p 9000 & exec 7</etc/passwd 8</etc/group; sleep 1000 & sleep 1000';
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sh', '-c', script]));
	const counts = async (): Promise<Readonly<Record<string, number>>> => {
		const metrics = await ofContainer(daemon, pod.id, id);
		const names = ['processes', 'threads', 'sockets', 'file_descriptors', 'ulimits_soft'];
		return Object.fromEntries(names.map(name => [name, valuesOf(metrics, `container_${name}`)[0] ?? Number.NaN]));
	};
	const found = await until('all of it runs', counts, ({processes, sockets = 0}) => processes === 3 && sockets >= 1);
	t.like(found, {threads: 3, sockets: 1});
	// Each has three; the two sleeps have the two files as well, and httpd its socket.
	const listed = await execute(daemon, id, 'for p in /proc/[0-9]*; do ls $p/fd; done | wc -l');
	const descriptors = found['file_descriptors'] ?? 0;
	t.true(descriptors >= 3 * 3 + 2 * 2 + 1 && descriptors <= Number(listed), `${descriptors} of at most ${listed}`);
	const soft = await execute(daemon, id, 'ulimit -n');
	t.is(found['ulimits_soft'], Number(soft));
	await removePod(cri, pod);
});

test.serial('an OOM kill within the container is counted', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'oom');
	// Swap has its room: else v1's counter of hits stays at zero, since the limit of both together is hit first.
	const linux = {resources: {memory_limit_in_bytes: 24 * MIB, memory_swap_limit_in_bytes: 25 * MIB}};
	// The child is killed, its parent stays.
	const script = 'dd if=/dev/zero of=/dev/null bs=64M count=2; while :; do sleep 1; done';
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sh', '-c', script], {linux}));
	const metrics = await until(
		'the kill is counted',
		() => ofContainer(daemon, pod.id, id),
		found => (valuesOf(found, 'container_oom_events_total')[0] ?? 0) > 0,
	);
	t.is(valuesOf(metrics, 'container_oom_events_total')[0], 1);
	t.true((valuesOf(metrics, 'container_memory_failcnt')[0] ?? 0) > 0);
	await removePod(cri, pod);
});

test.serial('disk metrics are of the filesystem that holds the layers; the usage has the time of its count', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'disk');
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sh', '-c', 'dd if=/dev/zero of=/file bs=1M count=6; sync; sleep 1000']));
	const metrics = await until(
		'the file is counted',
		() => ofContainer(daemon, pod.id, id),
		found => (valuesOf(found, 'container_fs_usage_bytes')[0] ?? 0) >= 6 * MIB,
		40_000,
	);
	const {blocks, bsize, files} = await statfs(daemon.places.rootDir);
	t.is(valuesOf(metrics, 'container_fs_limit_bytes')[0], blocks * bsize);
	t.is(valuesOf(metrics, 'container_fs_inodes_total')[0], files);
	const usage = metrics.find(({name}) => name === 'container_fs_usage_bytes');
	t.true(BigInt(usage?.timestamp ?? 0) > 0n);
	t.is(metrics.find(({name}) => name === 'container_memory_rss')?.timestamp, '0');
	t.regex(usage?.label_values.at(-1) ?? '', /^(?:\/dev\/\w+|\d+:\d+)$/);
	t.true((await stat(daemon.places.rootDir)).isDirectory());
	await removePod(cri, pod);
});

test.serial('the stream has the same pods and metrics as the list; stopped pods and exited containers are left out', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const [a, b] = [await runPod(daemon, 'a'), await runPod(daemon, 'b')];
	const one = await runContainer(cri, a, toContainerConfig('one', ['sleep', '1000']));
	const created = await createContainer(cri, a, toContainerConfig('created', ['sleep', '1000']));
	const ended = await runContainer(cri, a, toContainerConfig('ended', ['true']));
	await until(
		'it ends',
		() => statusOf(cri, ended),
		({state}) => state === EXITED,
	);
	const shape = (all: readonly PodSandboxMetrics__Output[]): unknown =>
		all.map(({pod_sandbox_id, metrics, container_metrics}) => [
			pod_sandbox_id,
			metrics.map(({name}) => name),
			container_metrics.map(({container_id}) => container_id).toSorted(),
		]);
	const {pod_metrics} = await cri.call('ListPodSandboxMetrics', {});
	t.deepEqual(pod_metrics.map(({pod_sandbox_id}) => pod_sandbox_id).toSorted(), [a.id, b.id].toSorted());
	const ofA = pod_metrics.find(({pod_sandbox_id}) => pod_sandbox_id === a.id);
	t.deepEqual(ofA?.container_metrics.map(({container_id}) => container_id).toSorted(), [one, created].toSorted());
	t.deepEqual(shape((await allOf(cri.stream('StreamPodSandboxMetrics', {}))).flatMap(({pod_sandbox_metrics}) => pod_sandbox_metrics)), shape(pod_metrics));
	await cri.call('StopPodSandbox', {pod_sandbox_id: b.id});
	t.deepEqual(
		(await cri.call('ListPodSandboxMetrics', {})).pod_metrics.map(({pod_sandbox_id}) => pod_sandbox_id),
		[a.id],
	);
	for (const pod of [a, b]) await removePod(cri, pod);
});

test.serial('crictl metricsp and metricdescs show them', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'crictl');
	await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000']));
	const descriptors = await daemon.crictl(['metricdescs']);
	t.is(descriptors.exitCode, 0, descriptors.stderr);
	t.regex(descriptors.stdout, /container_cpu_usage_seconds_total/);
	const metrics = await daemon.crictl(['metricsp']);
	t.is(metrics.exitCode, 0, metrics.stderr);
	t.true(metrics.stdout.includes(pod.id));
	t.regex(metrics.stdout, /container_memory_working_set_bytes/);
	await removePod(daemon.cri, pod);
});
