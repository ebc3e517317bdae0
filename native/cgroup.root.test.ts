import {readFile} from 'node:fs/promises';
import test from 'ava';
import {patientMs} from '../base/test-patience.js';
import {IS_PURE_V2} from './cgroup-rig.js';
import {LaunchRig, until} from './launch-rig.js';
import type {CgroupMountSpec, LaunchSpec, Monitor} from './native.js';

const execLimits = {timeoutMs: 0, maxOutputBytes: 1 << 20};
/** As runtime/cgroup/hierarchies.ts makes them. */
const HIERARCHIES: readonly CgroupMountSpec[] = IS_PURE_V2
	? [{name: '', fstype: 'cgroup2', options: ''}]
	: [
			{name: 'pids', fstype: 'cgroup', options: 'pids'},
			{name: 'unified', fstype: 'cgroup2', options: ''},
		];

async function openPod(rig: LaunchRig): Promise<Monitor> {
	return await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod'));
}

/** A container that sees writable cgroups, its own or all of the host's. */
async function toSpec(rig: LaunchRig, namespace: 'new' | 'host', script: string): Promise<LaunchSpec> {
	const spec = await rig.launchSpec('pod', script);
	return {
		...spec,
		namespaces: {pid: 'new', cgroup: namespace},
		mounts: [
			...spec.mounts,
			{kind: 'filesystem', fstype: 'sysfs', target: '/sys', flags: 15, data: ''},
			{kind: 'cgroup', target: '/sys/fs/cgroup', readonly: false, hierarchies: [...HIERARCHIES]},
		],
	};
}

/** Options of the mount itself and of the hierarchy, which all its mounts share. */
async function unifiedOptions(): Promise<readonly string[]> {
	const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter(line => line.includes(' - cgroup2 '));
	return lines.map(line => line.split(' ').at(-1) ?? '');
}

test("the unified hierarchy keeps its options when a container of the host's cgroup namespace has it mounted", async t => {
	await using rig = await LaunchRig.open();
	const monitor = await openPod(rig);
	const before = await unifiedOptions();
	if (!before.some(options => options.includes('nsdelegate'))) t.log(`this machine's hierarchy has no option to lose: ${before.join(' ')}`);
	const path = IS_PURE_V2 ? '/sys/fs/cgroup' : '/sys/fs/cgroup/unified';
	const spec = await toSpec(rig, 'host', `grep ' ${path} ' /proc/self/mounts; test -e ${path}/cgroup.events || echo root`);
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	await rig.exitOf(spec.containerId);
	const [mount = '', isRoot] = await rig.logLines(spec.containerId);
	t.regex(mount, /^\S+ \S+ cgroup2 rw,nosuid,nodev,noexec\b/);
	// Only the root of the hierarchy has no cgroup.events.
	t.is(isRoot, 'root');
	t.deepEqual(await unifiedOptions(), before);
});

test('a container whose processes are in cgroups of its own making is entered by exec and removed', async t => {
	await using rig = await LaunchRig.open();
	const monitor = await openPod(rig);
	const own = IS_PURE_V2 ? '/sys/fs/cgroup' : '/sys/fs/cgroup/pids';
	// As systemd in a container does: on v2 a cgroup with controllers for its children takes no process itself.
	const control = IS_PURE_V2 ? `echo +pids > ${own}/cgroup.subtree_control && ` : '';
	const spec = await toSpec(rig, 'new', `mkdir -p ${own}/outer/inner && echo 1 > ${own}/outer/inner/cgroup.procs && ${control}echo ready; exec sleep 1000`);
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	await until(async () => ((await rig.logLines(spec.containerId)).includes('ready') ? true : null));
	const {exitCode, stdout} = await monitor.execSync(rig.execRequest(spec, 'grep -e :pids: -e ^0:: /proc/self/cgroup | head -n 1'), execLimits, null);
	t.is(exitCode, 0);
	t.regex(Buffer.from(stdout).toString(), IS_PURE_V2 ? /^0::\/outer\/inner$/m : /:pids:\/$/m);
	// What an exec leaves is found there too.
	const late = await monitor.execSync(rig.execRequest(spec, '(sleep 4445 &); sleep 4445'), {...execLimits, timeoutMs: patientMs(500)}, null);
	t.true(late.timedOut);
	const counted = await monitor.execSync(rig.execRequest(spec, 'pgrep -f "^sleep 4445" | wc -l'), execLimits, null);
	t.is(Buffer.from(counted.stdout).toString().trim(), '0');
	await monitor.signal(spec.containerId, 9, true);
	await rig.exitOf(spec.containerId);
	await monitor.removeContainer(spec.containerId);
	t.deepEqual(await rig.cgroupsOf('pod'), []);
});

test('what a container made of cgroups goes with it, however deep and whatever its name', async t => {
	await using rig = await LaunchRig.open();
	const monitor = await openPod(rig);
	const own = IS_PURE_V2 ? '/sys/fs/cgroup' : '/sys/fs/cgroup/pids';
	// Deeper than a path is long.
	const deep = `cd ${own} && n=$(printf %0250d 0) && for i in $(seq 20); do mkdir $n && cd -P $n || exit 1; done`;
	const wide = `cd ${own} && for i in $(seq 30); do mkdir -p .hidden/$i/..inner ...$i || exit 1; done`;
	const spec = await toSpec(rig, 'new', `(${deep}) && (${wide}) && echo made`);
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	await rig.exitOf(spec.containerId);
	t.deepEqual(await rig.logLines(spec.containerId), ['made']);
	await monitor.removeContainer(spec.containerId);
	t.deepEqual(await rig.cgroupsOf('pod'), []);
});
