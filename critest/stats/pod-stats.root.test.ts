import {randomUUID} from 'node:crypto';
import test from 'ava';
import {run} from '../rig/command.js';
import type {NamespaceMode, NetworkInterfaceUsage__Output} from '../../proto/cri.js';
import {pullBusybox, removePod, runContainer, runPod, statusOf, toContainerConfig, toPodConfig, until} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {cgroupOf} from './cgroup-files.js';
import {containerStats, execute, pidOf, podStats, valueOf, allOf} from './measured.js';

const running = useDaemon(test);
const MIB = 1024 * 1024;
const EXITED = 2;
const NODE = 2 as NamespaceMode;

test.serial("a pod's CPU, memory and processes are those of its cgroup: of all its containers together", async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'sums');
	const linux = {resources: {cpu_period: 100_000, cpu_quota: 10_000}};
	const busy = await runContainer(daemon.cri, pod, toContainerConfig('busy', ['sh', '-c', 'while :; do :; done'], {linux}));
	const idle = await runContainer(daemon.cri, pod, toContainerConfig('idle', ['sh', '-c', 'sleep 1000 & sleep 1000 & sleep 1000']));
	const stats = await until(
		'all processes run',
		() => podStats(daemon, pod.id),
		({linux: found}) => valueOf(found?.process?.process_count) === 4n,
	);
	t.like(stats.attributes, {id: pod.id, metadata: {name: 'sums', namespace: 'test'}});
	t.deepEqual(stats.linux?.containers.map(({attributes}) => attributes?.id).toSorted(), [busy, idle].toSorted());
	const sum = (of: 'cpu' | 'memory'): bigint =>
		(stats.linux?.containers ?? []).reduce((all, {cpu, memory}) => all + valueOf(of === 'cpu' ? cpu?.usage_core_nano_seconds : memory?.usage_bytes), 0n);
	// The containers are read after their pod.
	t.true(valueOf(stats.linux?.cpu?.usage_core_nano_seconds) > 0n);
	t.true(valueOf(stats.linux?.cpu?.usage_core_nano_seconds) <= sum('cpu') + 1_000_000_000n);
	t.true(valueOf(stats.linux?.memory?.usage_bytes) + BigInt(MIB) >= sum('memory'));
	const later = await podStats(daemon, pod.id);
	t.true(valueOf(later.linux?.cpu?.usage_core_nano_seconds) >= valueOf(stats.linux?.cpu?.usage_core_nano_seconds));
	const hasPressure = (await (await cgroupOf(await pidOf(daemon, busy))).unified('cpu.pressure')) !== null;
	t.is((stats.linux?.cpu?.psi ?? null) !== null, hasPressure);
	t.is((stats.linux?.io ?? null) !== null, hasPressure);
	await removePod(daemon.cri, pod);
});

test.serial("a pod's network counts what its containers send and receive, on eth0", async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const [server, client] = [await runPod(daemon, 'server'), await runPod(daemon, 'client')];
	const serve = `mkdir /www; dd if=/dev/zero of=/www/file bs=1M count=8 2>/dev/null; httpd -f -p 8080 -h /www`;
	await runContainer(daemon.cri, server, toContainerConfig('c', ['sh', '-c', serve]));
	const fetcher = await runContainer(daemon.cri, client, toContainerConfig('c', ['sleep', '1000']));
	const {status} = await daemon.cri.call('PodSandboxStatus', {pod_sandbox_id: server.id});
	const address = status?.network?.ip ?? '';
	const eth0 = async (id: string): Promise<NetworkInterfaceUsage__Output> => {
		const {linux} = await podStats(daemon, id);
		t.true(BigInt(linux?.network?.timestamp ?? 0) > 0n);
		t.deepEqual(linux?.network?.interfaces, []);
		const found = linux?.network?.default_interface;
		if (found === null || found === undefined) throw new Error('no default interface');
		return found;
	};
	await until(
		'the server serves',
		() => daemon.cri.call('ExecSync', {container_id: fetcher, cmd: ['wget', '-q', '-O', '/dev/null', `http://${address}:8080/file`]}),
		({exit_code: exitCode}) => exitCode === 0,
	);
	const [sent, got] = [await eth0(server.id), await eth0(client.id)];
	t.is(sent.name, 'eth0');
	await execute(daemon, fetcher, `wget -q -O /dev/null http://${address}:8080/file`);
	const [sentAfter, gotAfter] = [await eth0(server.id), await eth0(client.id)];
	const grew = (after: NetworkInterfaceUsage__Output, before: NetworkInterfaceUsage__Output, field: 'rx_bytes' | 'tx_bytes'): number =>
		Number(valueOf(after[field]) - valueOf(before[field]));
	for (const [bytes, what] of [
		[grew(sentAfter, sent, 'tx_bytes'), 'sent'],
		[grew(gotAfter, got, 'rx_bytes'), 'received'],
	] as const)
		t.true(bytes >= 8 * MIB && bytes < 10 * MIB, `${what} ${bytes}`);
	t.true(grew(gotAfter, got, 'tx_bytes') < MIB);
	t.is(valueOf(gotAfter.rx_errors) + valueOf(gotAfter.tx_errors), 0n);
	// As the kernel shows it in the pod.
	const received = async (): Promise<bigint> => BigInt(/eth0: *(\d+)/.exec(await execute(daemon, fetcher, 'cat /proc/net/dev'))?.[1] ?? 0);
	const [before, shown, after] = [await received(), valueOf((await eth0(client.id)).rx_bytes), await received()];
	t.true(before <= shown && shown <= after, `${before} ${shown} ${after}`);
	for (const pod of [server, client]) await removePod(daemon.cri, pod);
});

test.serial('further interfaces of a pod are listed beside the default one', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'interfaces');
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000']));
	const pid = await pidOf(daemon, id);
	const added = await run(['nsenter', `--net=/proc/${pid}/ns/net`, 'ip', 'link', 'add', 'extra0', 'type', 'veth', 'peer', 'name', 'extra1']);
	t.is(added.exitCode, 0, added.stderr);
	const {linux} = await podStats(daemon, pod.id);
	t.is(linux?.network?.default_interface?.name, 'eth0');
	t.deepEqual(linux?.network?.interfaces.map(({name}) => name).toSorted(), ['extra0', 'extra1']);
	await removePod(daemon.cri, pod);
});

test.serial("a pod on the host's network has no network of its own to count", async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'host', {linux: {security_context: {namespace_options: {network: NODE}}}});
	await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000']));
	const {linux} = await podStats(daemon, pod.id);
	t.is(linux?.network ?? null, null);
	t.true(valueOf(linux?.memory?.usage_bytes) > 0n);
	await removePod(daemon.cri, pod);
});

test.serial('ListPodSandboxStats and StreamPodSandboxStats: filters; exited containers and stopped pods are left out', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const [a, b] = [await runPod(daemon, 'list-a', {labels: {app: 'x'}}), await runPod(daemon, 'list-b', {labels: {app: 'y'}})];
	const lives = await runContainer(cri, a, toContainerConfig('lives', ['sleep', '1000']));
	const ended = await runContainer(cri, a, toContainerConfig('ended', ['true']));
	await until(
		'it ends',
		() => statusOf(cri, ended),
		({state}) => state === EXITED,
	);
	const list = async (filter?: object): Promise<readonly string[]> => {
		const request = filter === undefined ? {} : {filter};
		const {stats} = await cri.call('ListPodSandboxStats', request);
		const ids = stats.map(({attributes}) => attributes?.id ?? '').toSorted();
		const streamed = (await allOf(cri.stream('StreamPodSandboxStats', request))).flatMap(({pod_sandbox_stats}) => pod_sandbox_stats);
		t.deepEqual(streamed.map(({attributes}) => attributes?.id ?? '').toSorted(), ids);
		return ids;
	};
	t.deepEqual(await list(), [a.id, b.id].toSorted());
	t.deepEqual(await list({id: a.id}), [a.id]);
	t.deepEqual(await list({label_selector: {app: 'y'}}), [b.id]);
	t.deepEqual(await list({id: a.id, label_selector: {app: 'y'}}), []);
	t.deepEqual(await list({id: 'f'.repeat(64)}), []);
	const {stats} = await cri.call('ListPodSandboxStats', {filter: {id: a.id}});
	t.deepEqual(
		stats[0]?.linux?.containers.map(({attributes}) => attributes?.id),
		[lives],
	);
	await cri.call('StopPodSandbox', {pod_sandbox_id: b.id});
	t.deepEqual(await list(), [a.id]);
	// Asked for by its id it still says who it is.
	const stopped = await podStats(daemon, b.id);
	t.like(stopped.attributes, {id: b.id, labels: {app: 'y'}});
	t.is(stopped.linux?.network ?? null, null);
	for (const pod of [a, b]) await removePod(cri, pod);
});

test.serial('the rate of a pod is there from the second call on, and another who asks does not disturb it', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'rate');
	const linux = {resources: {cpu_period: 100_000, cpu_quota: 20_000}};
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', 'while :; do :; done'], {linux}));
	await podStats(daemon, pod.id);
	const [first, second] = [
		await until(
			'there is a rate',
			() => podStats(daemon, pod.id),
			({linux: found}) => (found?.cpu?.usage_nano_cores ?? null) !== null,
		),
		await podStats(daemon, pod.id),
	];
	const rate = valueOf(first.linux?.cpu?.usage_nano_cores);
	// A tenth of a second after the first sample the quota's period of 100 ms still shows.
	t.true(rate > 0n && rate <= 800_000_000n, String(rate));
	t.true(valueOf(second.linux?.cpu?.usage_nano_cores) > 0n);
	t.true(valueOf((await containerStats(daemon, id)).cpu?.usage_nano_cores) > 0n);
	await removePod(daemon.cri, pod);
});

test.serial('two pods of one name in two namespaces are told apart', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	const ids = [];
	for (const namespace of ['one', 'two']) {
		const config = {...(await toPodConfig(daemon, `same-${namespace}`, true)), metadata: {name: 'same', uid: randomUUID(), namespace, attempt: 0}};
		ids.push((await cri.call('RunPodSandbox', {config})).pod_sandbox_id);
	}
	const {stats} = await cri.call('ListPodSandboxStats', {});
	t.deepEqual(
		new Map(stats.map(({attributes}) => [attributes?.id, attributes?.metadata?.namespace])),
		new Map([
			[ids[0], 'one'],
			[ids[1], 'two'],
		]),
	);
	for (const id of ids) {
		await cri.call('StopPodSandbox', {pod_sandbox_id: id});
		await cri.call('RemovePodSandbox', {pod_sandbox_id: id});
	}
});

test.serial('crictl statsp shows the pod', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'shown-pod');
	await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000']));
	const json = await daemon.crictl(['statsp', '--seconds', '1', '-o', 'json', '--id', pod.id]);
	t.is(json.exitCode, 0, json.stderr);
	const {stats} = JSON.parse(json.stdout) as {
		readonly stats: readonly {
			readonly attributes: {readonly id: string};
			readonly linux: {readonly network: {readonly defaultInterface: {readonly name: string}}};
		}[];
	};
	t.is(stats[0]?.attributes.id, pod.id);
	t.is(stats[0]?.linux.network.defaultInterface.name, 'eth0');
	const table = await daemon.crictl(['statsp', '--seconds', '1']);
	t.is(table.exitCode, 0, table.stderr);
	t.regex(table.stdout, /shown-pod\s/);
	await removePod(daemon.cri, pod);
});
