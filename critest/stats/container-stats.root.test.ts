import {access} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import {run} from '../rig/command.js';
import {createContainer, pullBusybox, removePod, runContainer, runPod, statusOf, toContainerConfig, until} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';
import {cgroupOf} from './cgroup-files.js';
import {containerStats, execute, pidOf, valueOf, allOf} from './measured.js';

const running = useDaemon(test);
const MIB = 1024n * 1024n;
/** CRI v1: ContainerState. */
const EXITED = 2;

test.serial('CPU time is what the cgroup counts, and the rate is what the container burns', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'cpu');
	// A fifth of a core, however fast the machine.
	const linux = {resources: {cpu_period: 100_000, cpu_quota: 20_000}};
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', 'while :; do :; done'], {linux}));
	const cgroup = await cgroupOf(await pidOf(daemon, id));
	const usageNs = async (): Promise<bigint> =>
		cgroup.version === 'v2' ? (await cgroup.stat(null, ['cpu.stat', 'usage_usec'])) * 1000n : await cgroup.number(['cpuacct', 'cpuacct.usage'], null);
	const before = await usageNs();
	const stats = await containerStats(daemon, id);
	const after = await usageNs();
	const usage = valueOf(stats.cpu?.usage_core_nano_seconds);
	// v2 counts in µs.
	t.true(before <= usage + 1000n && usage <= after + 1000n, `${before} ${usage} ${after}`);
	t.true(BigInt(stats.cpu?.timestamp ?? 0) > 0n);
	const second = await until(
		'there is a rate',
		() => containerStats(daemon, id),
		({cpu}) => cpu?.usage_nano_cores !== null && cpu?.usage_nano_cores !== undefined,
	);
	const spent = valueOf(second.cpu?.usage_core_nano_seconds) - usage;
	const took = BigInt(second.cpu?.timestamp ?? 0) - BigInt(stats.cpu?.timestamp ?? 0);
	const rate = valueOf(second.cpu?.usage_nano_cores);
	// The same two samples seen from here; the two clocks of the daemon are read one after the other.
	const expected = (spent * 1_000_000_000n) / took;
	t.true(rate > 0n && rate * 10n >= expected * 7n && rate * 10n <= expected * 13n, `${rate} of about ${expected}`);
	await removePod(daemon.cri, pod);
});

test.serial('memory is what the cgroup counts: usage, working set, limit, anonymous memory, faults', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'memory');
	const linux = {resources: {memory_limit_in_bytes: Number(200n * MIB)}};
	const hold = `x=$(head -c ${20n * MIB} /dev/zero | tr '\\0' x); while :; do sleep 1000; done`;
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', hold], {linux}));
	const held = await until(
		'the container holds its memory',
		() => containerStats(daemon, id),
		({memory}) => valueOf(memory?.rss_bytes) >= 20n * MIB,
	);
	t.true(valueOf(held.memory?.usage_bytes) >= valueOf(held.memory?.rss_bytes));
	const cgroup = await cgroupOf(await pidOf(daemon, id));
	const faults = await cgroup.stat(['memory', 'memory.stat', 'total_pgfault'], ['memory.stat', 'pgfault']);
	const {memory} = await containerStats(daemon, id);
	const usage = await cgroup.number(['memory', 'memory.usage_in_bytes'], 'memory.current');
	const inactive = await cgroup.stat(['memory', 'memory.stat', 'total_inactive_file'], ['memory.stat', 'inactive_file']);
	const near = (a: bigint, b: bigint): boolean => (a > b ? a - b : b - a) < 8n * MIB;
	t.true(near(valueOf(memory?.usage_bytes), usage));
	t.true(near(valueOf(memory?.working_set_bytes), usage - inactive));
	t.is(valueOf(memory?.available_bytes), 200n * MIB - valueOf(memory?.working_set_bytes));
	t.true(valueOf(memory?.page_faults) >= faults && faults > 1000n);
	t.true(valueOf(memory?.major_page_faults) >= 0n);
	await removePod(daemon.cri, pod);
});

test.serial('a container without a memory limit has no available bytes', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'no-limit');
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000']));
	const {memory} = await containerStats(daemon, id);
	t.true(valueOf(memory?.usage_bytes) > 0n);
	t.is(memory?.available_bytes ?? null, null);
	await removePod(daemon.cri, pod);
});

test.serial('pressure is what the kernel says of the container: CPU of one that is throttled; none where the kernel has none', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'pressure');
	// Two loops in a fifth of a core wait for each other and for their quota.
	const linux = {resources: {cpu_period: 100_000, cpu_quota: 20_000}};
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', '(while :; do :; done) & while :; do :; done'], {linux}));
	const cgroup = await cgroupOf(await pidOf(daemon, id));
	const stats = await containerStats(daemon, id);
	if ((await cgroup.unified('cpu.pressure')) === null) {
		t.is(stats.cpu?.psi ?? null, null);
		t.is(stats.memory?.psi ?? null, null);
		t.is(stats.io ?? null, null);
	} else {
		const waited = await until(
			'the container waited for the CPU',
			() => containerStats(daemon, id),
			({cpu}) => BigInt(cpu?.psi?.Some?.Total ?? 0) > 100_000_000n,
		);
		const totalUs = BigInt(/^some .*total=(\d+)$/m.exec((await cgroup.unified('cpu.pressure')) ?? '')?.[1] ?? 0);
		const total = BigInt(waited.cpu?.psi?.Some?.Total ?? 0);
		// Of before the file was read.
		t.true(total <= totalUs * 1000n && total > 0n, `${total} ${totalUs}`);
		t.not(waited.cpu?.psi?.Full ?? null, null);
		t.not(waited.memory?.psi?.Some ?? null, null);
		t.not(waited.io?.psi?.Some ?? null, null);
		t.true(BigInt(waited.io?.timestamp ?? 0) > 0n);
	}
	await removePod(daemon.cri, pod);
});

test.serial('swap is what the cgroup counts where the machine accounts it, and absent elsewhere', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'swap');
	const linux = {resources: {memory_limit_in_bytes: Number(64n * MIB), memory_swap_limit_in_bytes: Number(96n * MIB)}};
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000'], {linux}));
	const cgroup = await cgroupOf(await pidOf(daemon, id));
	const accounted = (await cgroup.read(['memory', 'memory.memsw.limit_in_bytes'], 'memory.swap.max')) !== null;
	const {swap} = await containerStats(daemon, id);
	if (accounted) {
		const used = await (cgroup.version === 'v2' ? cgroup.number(null, 'memory.swap.current') : cgroup.stat(['memory', 'memory.stat', 'total_swap'], null));
		t.is(valueOf(swap?.swap_usage_bytes), used);
		t.is(valueOf(swap?.swap_available_bytes), 32n * MIB - used);
	} else if (cgroup.version === 'v2') t.is(swap ?? null, null);
	else t.is(swap?.swap_available_bytes ?? null, null);
	await removePod(daemon.cri, pod);
});

test.serial('what a container writes into its layer is counted within moments, as du finds it, and the time says when', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'layer');
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000']));
	const first = await containerStats(daemon, id);
	t.true(valueOf(first.writable_layer?.used_bytes) < MIB);
	t.is(first.writable_layer?.fs_id?.mountpoint, daemon.places.rootDir);
	await execute(daemon, id, 'mkdir /data; dd if=/dev/zero of=/data/file bs=1M count=20 2>/dev/null; for i in $(seq 100); do : > /data/$i; done; sync');
	const writtenAtNs = BigInt(Date.now()) * 1_000_000n;
	const counted = await until(
		'the layer is counted',
		() => containerStats(daemon, id),
		({writable_layer: layer}) => valueOf(layer?.inodes_used) >= 100n,
		40_000,
	);
	t.true(BigInt(counted.writable_layer?.timestamp ?? 0) <= BigInt(Date.now() + 1) * 1_000_000n);
	// A count that began before the last byte was written may lack some of it; one that began after has all.
	const complete = await until(
		'a count that began after the last byte',
		() => containerStats(daemon, id),
		({writable_layer: layer}) => BigInt(layer?.timestamp ?? 0) > writtenAtNs,
		40_000,
	);
	const upper = join(daemon.places.rootDir, 'containers', id, 'diff');
	const du = await run(['du', '-s', '-B1', upper]);
	const duBytes = BigInt(du.stdout.split('\t')[0] ?? 0);
	const used = valueOf(complete.writable_layer?.used_bytes);
	t.true(used >= duBytes && used <= duBytes + 64n * 1024n && used >= 20n * MIB, `${used} ${duBytes}`);
	await removePod(daemon.cri, pod);
});

test.serial('a layer is counted after the daemon was killed, by the next one', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'restart');
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', 'dd if=/dev/zero of=/file bs=1M count=8; sleep 1000']));
	await until(
		'the file is written',
		() => execute(daemon, id, 'stat -c %s /file'),
		size => size.trim() === String(8n * MIB),
	);
	await daemon.kill();
	await daemon.start();
	const counted = await until(
		'the layer is counted',
		() => containerStats(daemon, id),
		({writable_layer: layer}) => layer !== null && valueOf(layer.used_bytes) >= 8n * MIB,
	);
	// Nothing that was not counted is told.
	t.true(valueOf(counted.writable_layer?.used_bytes) < 9n * MIB);
	await removePod(daemon.cri, pod);
});

test.serial('filters: id, prefix, pod, labels; nothing for what does not exist; exited containers are not listed', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const [a, b] = [await runPod(daemon, 'a'), await runPod(daemon, 'b')];
	const one = await runContainer(cri, a, toContainerConfig('one', ['sleep', '1000'], {labels: {app: 'x', tier: 'front'}}));
	const two = await runContainer(cri, b, toContainerConfig('two', ['sleep', '1000'], {labels: {app: 'x'}, annotations: {note: 'n'}}));
	const created = await createContainer(cri, b, toContainerConfig('three', ['sleep', '1000'], {labels: {app: 'y'}}));
	const exited = await runContainer(cri, b, toContainerConfig('four', ['true'], {labels: {app: 'x'}}));
	await until(
		'the fourth ends',
		() => statusOf(cri, exited),
		({state}) => state === EXITED,
	);
	const list = async (filter?: object): Promise<readonly string[]> => {
		const {stats} = await cri.call('ListContainerStats', filter === undefined ? {} : {filter});
		const streamed = (await allOf(cri.stream('StreamContainerStats', filter === undefined ? {} : {filter}))).flatMap(({container_stats}) => container_stats);
		t.deepEqual(
			streamed.map(({attributes}) => attributes),
			stats.map(({attributes}) => attributes),
		);
		t.true(stats.every(({cpu, memory}) => valueOf(cpu?.usage_core_nano_seconds) >= 0n && valueOf(memory?.usage_bytes) >= 0n));
		return stats.map(({attributes}) => attributes?.id ?? '');
	};
	t.deepEqual((await list()).toSorted(), [one, two, created].toSorted());
	t.deepEqual(await list({id: one}), [one]);
	t.deepEqual(await list({id: one.slice(0, 12)}), [one]);
	t.deepEqual((await list({pod_sandbox_id: b.id})).toSorted(), [two, created].toSorted());
	t.deepEqual((await list({label_selector: {app: 'x'}})).toSorted(), [one, two].toSorted());
	t.deepEqual(await list({label_selector: {app: 'x', tier: 'front'}}), [one]);
	t.deepEqual(await list({id: one, pod_sandbox_id: b.id}), []);
	t.deepEqual(await list({id: exited}), []);
	t.deepEqual(await list({id: 'f'.repeat(64)}), []);
	const {attributes} = await containerStats(daemon, two);
	t.like(attributes, {id: two, metadata: {name: 'two', attempt: 0}, labels: {app: 'x'}, annotations: {note: 'n'}});
	// An exited one uses nothing more; what it used its cgroup still counts.
	const [gone, later] = [await containerStats(daemon, exited), await containerStats(daemon, exited)];
	t.is(gone.attributes?.id, exited);
	t.deepEqual(later.cpu?.usage_core_nano_seconds ?? null, gone.cpu?.usage_core_nano_seconds ?? null);
	for (const pod of [a, b]) await removePod(cri, pod);
});

test.serial('unknown ids are NOT_FOUND, an empty one names the field', async t => {
	const {cri} = running().daemon;
	await assertRefused(t, status.NOT_FOUND, /container "nope" not found/, cri.call('ContainerStats', {container_id: 'nope'}));
	await assertRefused(t, status.INVALID_ARGUMENT, /container_id/, cri.call('ContainerStats', {container_id: ''}));
	await assertRefused(t, status.NOT_FOUND, /pod sandbox "nope" not found/, cri.call('PodSandboxStats', {pod_sandbox_id: 'nope'}));
	await assertRefused(t, status.INVALID_ARGUMENT, /pod_sandbox_id/, cri.call('PodSandboxStats', {pod_sandbox_id: ''}));
});

test.serial('containers that end while statistics are read are left out, and no call fails', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'churn');
	const stays = await runContainer(cri, pod, toContainerConfig('stays', ['sleep', '1000']));
	const end = new AbortController();
	const asking = (async () => {
		let asked = 0;
		for (; !end.signal.aborted; asked++) {
			const {stats} = await cri.call('ListContainerStats', {filter: {pod_sandbox_id: pod.id}});
			t.true(stats.some(({attributes}) => attributes?.id === stays));
			for (const {cpu, memory} of stats) t.true(cpu !== null || memory !== null);
			const pods = await cri.call('ListPodSandboxStats', {filter: {id: pod.id}});
			t.is(pods.stats.length, 1);
			await cri.call('ListPodSandboxMetrics', {});
		}
		return asked;
	})();
	for (let i = 0; i < 15; i++) {
		const id = await runContainer(cri, pod, toContainerConfig(`goes-${i}`, ['true']));
		await cri.call('RemoveContainer', {container_id: id});
	}
	end.abort();
	t.true((await asking) > 3);
	await removePod(cri, pod);
	await t.throwsAsync(access(join(daemon.places.rootDir, 'containers', stays)), {code: 'ENOENT'});
});

test.serial('crictl stats shows the container', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'crictl');
	const id = await runContainer(daemon.cri, pod, toContainerConfig('shown', ['sleep', '1000']));
	const {exitCode, stdout, stderr} = await daemon.crictl(['stats', '--seconds', '1', '-o', 'json', id]);
	t.is(exitCode, 0, stderr);
	const {stats} = JSON.parse(stdout) as {
		readonly stats: readonly {readonly attributes: {readonly id: string}; readonly memory: {readonly usageBytes: {readonly value: string}}}[];
	};
	t.is(stats[0]?.attributes.id, id);
	t.true(BigInt(stats[0]?.memory.usageBytes.value ?? 0) > 0n);
	const table = await daemon.crictl(['stats', '--seconds', '1', id]);
	t.is(table.exitCode, 0, table.stderr);
	t.regex(table.stdout, new RegExp(`${id.slice(0, 13)}\\s+shown\\s`));
	await removePod(daemon.cri, pod);
});
