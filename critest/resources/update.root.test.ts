import {status} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import type {LinuxContainerResources, NamespaceMode} from '../../proto/cri.js';
import {containerCgroup, CPU_SHARES, CPUS, hasController, isPureV2, MEMORY_LIMIT, readCpuLimit, readLimit} from '../rig/cgroup-files.js';
import {createContainer, pullBusybox, removePod, runContainer, runPod, statusOf, toContainerConfig, until, type Pod} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
const MIB = 1024 * 1024;
/** CRI v1: ContainerState. */
const EXITED = 2;

interface Subject {
	readonly pod: Pod;
	readonly id: string;
	readonly cgroup: string;
	update(linux: LinuxContainerResources): Promise<unknown>;
	resources(): Promise<Record<string, unknown>>;
}

const SLEEP = ['sleep', '1000'];
/** CRI v1: NamespaceMode CONTAINER. */
const OWN_PIDS = {namespace_options: {pid: 1 as NamespaceMode}};

async function subject(t: ExecutionContext, resources: LinuxContainerResources, command: readonly string[] = SLEEP): Promise<Subject> {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'resources');
	t.teardown(() => removePod(daemon.cri, pod));
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', command, {linux: {resources, security_context: OWN_PIDS}}));
	return {
		pod,
		id,
		cgroup: await containerCgroup(daemon.cri, id),
		update: changes => daemon.cri.call('UpdateContainerResources', {container_id: id, linux: changes}),
		resources: async () => (await statusOf(daemon.cri, id)).resources?.linux as unknown as Record<string, unknown>,
	};
}

test.serial('an update is in force at once and in the status as asked; what it leaves unspecified stays', async t => {
	const {update, cgroup, resources} = await subject(t, {cpu_shares: 512, memory_limit_in_bytes: 64 * MIB, cpu_quota: 50_000, cpu_period: 100_000});
	t.like(await resources(), {cpu_shares: '512', memory_limit_in_bytes: String(64 * MIB), cpu_quota: '50000', cpu_period: '100000'});
	await update({cpu_shares: 1536});
	t.is(await readLimit(cgroup, CPU_SHARES), (await isPureV2()) ? '138' : '1536');
	await update({memory_limit_in_bytes: 128 * MIB + 1});
	t.is(await readLimit(cgroup, MEMORY_LIMIT), String(128 * MIB));
	await update({cpu_quota: 25_000});
	t.is(await readCpuLimit(cgroup), '25000 100000');
	await update({cpu_quota: 30_000, cpu_period: 50_000});
	t.is(await readCpuLimit(cgroup), '30000 50000');
	t.like(await resources(), {cpu_shares: '1536', memory_limit_in_bytes: String(128 * MIB + 1), cpu_quota: '30000', cpu_period: '50000'});
	await update({cpu_quota: -1});
	t.is(await readCpuLimit(cgroup), 'max 50000');
	await update({});
	t.like(await resources(), {cpu_shares: '1536', memory_limit_in_bytes: String(128 * MIB + 1), cpu_quota: '-1', cpu_period: '50000'});
});

test.serial('memory with swap rises and falls, in whichever order the kernel wants it', async t => {
	const {update, cgroup, resources} = await subject(t, {memory_limit_in_bytes: 32 * MIB, memory_swap_limit_in_bytes: 48 * MIB});
	await update({memory_limit_in_bytes: 256 * MIB, memory_swap_limit_in_bytes: 300 * MIB});
	t.is(await readLimit(cgroup, MEMORY_LIMIT), String(256 * MIB));
	t.like(await resources(), {memory_limit_in_bytes: String(256 * MIB), memory_swap_limit_in_bytes: String(300 * MIB)});
	await update({memory_limit_in_bytes: 32 * MIB, memory_swap_limit_in_bytes: 32 * MIB});
	t.is(await readLimit(cgroup, MEMORY_LIMIT), String(32 * MIB));
	t.like(await resources(), {memory_limit_in_bytes: String(32 * MIB), memory_swap_limit_in_bytes: String(32 * MIB)});
	await update({memory_limit_in_bytes: -1, memory_swap_limit_in_bytes: -1});
	t.like(await resources(), {memory_limit_in_bytes: '-1', memory_swap_limit_in_bytes: '-1'});
});

test.serial('a memory limit below what is in use is refused, naming the field, and nothing else of that update is left', async t => {
	const fill = 'dd if=/dev/zero of=/dev/shm/kept bs=1M count=24 2>/dev/null && echo filled > /tmp/filled; sleep 1000';
	const {update, cgroup, id, resources} = await subject(t, {memory_limit_in_bytes: 64 * MIB, cpu_shares: 512}, ['sh', '-c', fill]);
	const {cri} = running().daemon;
	await until(
		'the memory is in use',
		() => cri.call('ExecSync', {container_id: id, cmd: ['cat', '/tmp/filled']}),
		({exit_code: code}) => code === 0,
	);
	await assertRefused(t, status.INVALID_ARGUMENT, /^memory_limit_in_bytes: .*more is in use/, update({cpu_shares: 1024, memory_limit_in_bytes: 8 * MIB}));
	t.is(await readLimit(cgroup, MEMORY_LIMIT), String(64 * MIB));
	t.is(await readLimit(cgroup, CPU_SHARES), (await isPureV2()) ? '59' : '512');
	t.like(await resources(), {cpu_shares: '512', memory_limit_in_bytes: String(64 * MIB)});
	t.is((await statusOf(cri, id)).reason, '');
});

test.serial('a created container is updated before it starts', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'created');
	t.teardown(() => removePod(daemon.cri, pod));
	const id = await createContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000']));
	await daemon.cri.call('UpdateContainerResources', {container_id: id, linux: {memory_limit_in_bytes: 32 * MIB}});
	await daemon.cri.call('StartContainer', {container_id: id});
	t.is(await readLimit(await containerCgroup(daemon.cri, id), MEMORY_LIMIT), String(32 * MIB));
});

test.serial('an exited container is refused, and its status says what it had', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'exited');
	t.teardown(() => removePod(daemon.cri, pod));
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['true'], {linux: {resources: {cpu_shares: 700}}}));
	const ended = await until(
		'the container ends',
		() => statusOf(daemon.cri, id),
		({state}) => state === EXITED,
	);
	t.is(ended.resources?.linux?.cpu_shares, '700');
	const call = daemon.cri.call('UpdateContainerResources', {container_id: id, linux: {cpu_shares: 800}});
	await assertRefused(t, status.FAILED_PRECONDITION, /is exited, must be created or running/, call);
	const unknown = daemon.cri.call('UpdateContainerResources', {container_id: 'f'.repeat(64), linux: {cpu_shares: 800}});
	await assertRefused(t, status.NOT_FOUND, /container "f+" not found/, unknown);
});

const BAD: readonly (readonly [LinuxContainerResources, RegExp])[] = [
	[{cpu_shares: 1}, /^cpu_shares 1 is not in/],
	[{cpu_quota: 999}, /^cpu_quota 999/],
	[{cpu_period: 5}, /^cpu_period 5/],
	[{memory_limit_in_bytes: 1024}, /^memory_limit_in_bytes 1024/],
	[{memory_swap_limit_in_bytes: MIB}, /^memory_swap_limit_in_bytes/],
	[{cpuset_cpus: '0-x'}, /^cpuset_cpus/],
	[{cpuset_mems: '-1'}, /^cpuset_mems/],
	[{oom_score_adj: 2000}, /^oom_score_adj 2000/],
	[{hugepage_limits: [{page_size: 'huge', limit: 1}]}, /^hugepage_limits/],
	[{unified: {'../memory.max': '1'}}, /^unified key/],
	[{unified: {'no.such.file': '1'}}, /^unified/],
];

test.serial('an update with a value that cannot be is refused, naming the field, and changes nothing', async t => {
	const before = {memory_limit_in_bytes: 64 * MIB, cpu_shares: 600};
	const {update, cgroup, resources} = await subject(t, before);
	for (const [changes, says] of BAD) {
		await assertRefused(t, status.INVALID_ARGUMENT, says, update({cpu_shares: 1024, ...changes}));
		t.is(await readLimit(cgroup, MEMORY_LIMIT), String(64 * MIB));
		t.is((await resources())['cpu_shares'], '600', String(says));
	}
});

test.serial('a cpuset is changed, and one beyond the machine is refused', async t => {
	const {update, cgroup, resources} = await subject(t, {cpu_shares: 600});
	if (!(await hasController('cpuset'))) {
		await assertRefused(t, status.INVALID_ARGUMENT, /^cpuset_cpus: this cgroup has no/, update({cpuset_cpus: '0'}));
		return;
	}
	await update({cpuset_cpus: '0', cpuset_mems: '0'});
	t.is(await readLimit(cgroup, CPUS), '0');
	t.like(await resources(), {cpuset_cpus: '0', cpuset_mems: '0'});
	if (!(await isPureV2())) await assertRefused(t, status.INVALID_ARGUMENT, /^cpuset_cpus: .*must be online/, update({cpu_shares: 1024, cpuset_cpus: '4000'}));
	t.like(await resources(), {cpuset_cpus: '0', cpu_shares: '600'});
});

test.serial('what was updated is known after the daemon was killed', async t => {
	const {update, resources} = await subject(t, {cpu_shares: 600, oom_score_adj: 100});
	await update({cpu_shares: 900, oom_score_adj: 500});
	await running().daemon.kill();
	await running().daemon.start();
	t.like(await resources(), {cpu_shares: '900', oom_score_adj: '500'});
});

test.serial("oom_score_adj is that of every process of the container, and of an exec's", async t => {
	const {update, id} = await subject(t, {oom_score_adj: 100}, ['sh', '-c', 'sleep 1000 & exec sleep 1000']);
	await update({oom_score_adj: 700});
	const {stdout} = await running().daemon.cri.call('ExecSync', {container_id: id, cmd: ['sh', '-c', 'cat /proc/[0-9]*/oom_score_adj']});
	const seen = Buffer.from(stdout).toString().trim().split('\n');
	t.true(seen.length >= 3);
	t.deepEqual([...new Set(seen)], ['700']);
});
