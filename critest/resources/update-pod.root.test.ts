import {mkdir, rmdir, writeFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import {CPU_SHARES, isPureV2, limitPath, MEMORY_LIMIT, readCpuLimit, readLimit} from '../rig/cgroup-files.js';
import {pullBusybox, removePod, runContainer, runPod, toContainerConfig} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
const MIB = 1024 * 1024;

test.serial("a pod's own cgroup gets what its containers and the pod itself need", async t => {
	const {daemon} = running();
	const pod = await runPod(daemon, 'pod-resources');
	t.teardown(() => removePod(daemon.cri, pod));
	const cgroup = `${daemon.places.cgroupRoot}/pod-${pod.id}`;
	const resources = {cpu_shares: 1000, cpu_quota: 60_000, cpu_period: 100_000, memory_limit_in_bytes: 64 * MIB};
	await daemon.cri.call('UpdatePodSandboxResources', {pod_sandbox_id: pod.id, resources, overhead: {cpu_shares: 24, memory_limit_in_bytes: 16 * MIB}});
	t.is(await readLimit(cgroup, CPU_SHARES), (await isPureV2()) ? '100' : '1024');
	t.is(await readCpuLimit(cgroup), '60000 100000');
	t.is(await readLimit(cgroup, MEMORY_LIMIT), String(80 * MIB));
	// The overhead stays what it was.
	await daemon.cri.call('UpdatePodSandboxResources', {pod_sandbox_id: pod.id, resources: {...resources, memory_limit_in_bytes: 32 * MIB}});
	t.is(await readLimit(cgroup, MEMORY_LIMIT), String(48 * MIB));
});

test.serial('a container cannot have more CPU time than its pod has on v1; on v2 both limits hold', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'nested');
	t.teardown(() => removePod(daemon.cri, pod));
	await daemon.cri.call('UpdatePodSandboxResources', {pod_sandbox_id: pod.id, resources: {cpu_quota: 50_000, cpu_period: 100_000}});
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000'], {linux: {resources: {cpu_quota: 40_000, cpu_period: 100_000}}}));
	const cgroup = `${daemon.places.cgroupRoot}/pod-${pod.id}/${id}`;
	const update = (cpu_quota: number, cpu_period: number) => daemon.cri.call('UpdateContainerResources', {container_id: id, linux: {cpu_quota, cpu_period}});
	// Each way between two ratios that are fine leads, in the wrong order, over one that is not.
	await update(4_000, 10_000);
	t.is(await readCpuLimit(cgroup), '4000 10000');
	await update(400_000, 1_000_000);
	t.is(await readCpuLimit(cgroup), '400000 1000000');
	if (await isPureV2()) {
		await update(80_000, 100_000);
		t.is(await readCpuLimit(cgroup), '80000 100000');
		return;
	}
	await assertRefused(t, status.INVALID_ARGUMENT, /^cpu_quota: .*more CPU time than the one it lies in/, update(80_000, 100_000));
	t.is(await readCpuLimit(cgroup), '400000 1000000');
	const lower = daemon.cri.call('UpdatePodSandboxResources', {pod_sandbox_id: pod.id, resources: {cpu_quota: 10_000, cpu_period: 100_000}});
	await assertRefused(t, status.INVALID_ARGUMENT, /^cpu_quota: .*nor less than those in it/, lower);
	t.is(await readCpuLimit(`${daemon.places.cgroupRoot}/pod-${pod.id}`), '50000 100000');
});

test.serial('of a cgroup that the kubelet named a limit is raised, and neither introduced nor lowered', async t => {
	const {daemon} = running();
	const parent = `${daemon.places.cgroupRoot}/kubelet-pod`;
	const memory = await limitPath(parent, MEMORY_LIMIT);
	await mkdir(dirname(memory), {recursive: true});
	t.teardown(async () => {
		await rmdir(dirname(memory));
	});
	const pod = await runPod(daemon, 'kubelets', {linux: {cgroup_parent: parent}});
	t.teardown(() => removePod(daemon.cri, pod));
	const update = (megabytes: number) =>
		daemon.cri.call('UpdatePodSandboxResources', {
			pod_sandbox_id: pod.id,
			resources: {memory_limit_in_bytes: megabytes * MIB, cpu_quota: 50_000, cpu_period: 100_000, cpu_shares: 2000},
		});
	await update(64);
	t.not(await readLimit(parent, MEMORY_LIMIT), String(64 * MIB));
	t.regex(await readCpuLimit(parent), /^max /);
	await writeFile(memory, String(64 * MIB));
	await update(128);
	t.is(await readLimit(parent, MEMORY_LIMIT), String(128 * MIB));
	await update(32);
	t.is(await readLimit(parent, MEMORY_LIMIT), String(128 * MIB));
	t.is(await readLimit(parent, CPU_SHARES), (await isPureV2()) ? '170' : '2000');
});

test.serial('bad values, unknown and stopped pods are refused, and change nothing', async t => {
	const {daemon} = running();
	const pod = await runPod(daemon, 'bad');
	const call = (pod_sandbox_id: string, resources: object) => daemon.cri.call('UpdatePodSandboxResources', {pod_sandbox_id, resources});
	await assertRefused(t, status.INVALID_ARGUMENT, /^cpu_shares 1/, call(pod.id, {cpu_shares: 1}));
	await assertRefused(t, status.INVALID_ARGUMENT, /^memory_limit_in_bytes 5/, call(pod.id, {cpu_shares: 1024, memory_limit_in_bytes: 5}));
	await assertRefused(t, status.NOT_FOUND, /pod sandbox "f+" not found/, call('f'.repeat(64), {}));
	await daemon.cri.call('StopPodSandbox', {pod_sandbox_id: pod.id});
	await assertRefused(t, status.FAILED_PRECONDITION, /is notReady, must be ready/, call(pod.id, {cpu_shares: 1024}));
	await removePod(daemon.cri, pod);
});
