import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {InvalidArgumentError} from '../../../base/errors.js';
import {cgroupfsDriver} from '../driver.js';
import {detectCgroups} from '../hierarchies.js';
import {toContainerCgroupPlan, toSandboxCgroupPlan} from '../plan.js';
import {NO_RESOURCES} from '../resources.js';
import {systemdDriver} from './driver.js';
import {toSliceOf, toSlicePath} from './slices.js';
import type {Scope} from './units.js';

const ID = 'ab'.repeat(32);
const v2At = (mountpoint: string) => detectCgroups(`30 24 0:26 / ${mountpoint} rw - cgroup2 cgroup2 rw\n`);
const HYBRID = detectCgroups('34 31 0:31 / /c/cpu rw - cgroup cgroup rw,cpu\n30 24 0:26 / /c/u rw - cgroup2 cgroup2 rw\n');

function setUp(mountpoint = '/c') {
	const scopes: Scope[] = [];
	const calls: unknown[] = [];
	const units = {
		startScope: async (scope: Scope): Promise<void> => void scopes.push(scope),
		stop: async (name: string): Promise<void> => void calls.push(['stop', name]),
		setProperties: async (...args: unknown[]): Promise<void> => void calls.push(args),
		close: () => undefined,
	};
	const kernel = {
		readFiles: async (paths: readonly string[]) =>
			await Promise.all(paths.map(async path => (path.startsWith('/proc/') ? Buffer.from('101 102 ') : await readFile(path).catch(() => null)))),
		writeFile: async (path: string, value: string) => await writeFile(path, `${value}\n`, {flag: 'a'}),
	};
	return {scopes, calls, driver: systemdDriver({units, kernel, cgroups: v2At(mountpoint), cgroupRoot: '/berth'})};
}

for (const [slice, path] of [
	['kubepods.slice', '/kubepods.slice'],
	['kubepods-burstable-pod1_2.slice', '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice'],
	['-.slice', '/'],
] as const) {
	test(`systemd has ${slice} at ${path}`, t => t.is(toSlicePath('f', slice), path));
}

for (const slice of ['a--b.slice', '-a.slice', 'a-.slice', '.slice', 'a b.slice', 'a\n.slice', 'a.scope', `${'x'.repeat(260)}.slice`, 'ä.slice']) {
	test(`${JSON.stringify(slice.slice(0, 20))} is no slice`, t => {
		t.throws(() => toSlicePath('linux.cgroup_parent', slice), {
			instanceOf: InvalidArgumentError,
			message: /^linux\.cgroup_parent .* is no name of a systemd slice/s,
		});
	});
}

test('a pod has its scope in the slice that the kubelet names, else in berth.slice; a path is refused', t => {
	const {driver} = setUp();
	t.is(driver.toPodPath(ID, 'kubepods-pod1.slice'), `/kubepods.slice/kubepods-pod1.slice/berth-${ID}.scope`);
	t.is(driver.toPodPath(ID, ''), `/berth.slice/berth-${ID}.scope`);
	t.throws(() => driver.toPodPath(ID, '/kubepods/pod1'), {instanceOf: InvalidArgumentError, message: /is no systemd slice, but the cgroup driver is systemd/});
	t.is(toSliceOf(`/berth.slice/berth-${ID}.scope`), 'berth.slice');
});

test('the cgroupfs driver takes paths and refuses slices', t => {
	const driver = cgroupfsDriver('/berth');
	t.is(driver.toPodPath(ID, ''), `/berth/pod-${ID}`);
	t.is(driver.toPodPath(ID, 'kubepods/pod1'), '/kubepods/pod1');
	t.true(driver.isOwn(ID, `/berth/pod-${ID}`));
	t.false(driver.isOwn(ID, '/kubepods/pod1'));
	t.throws(() => driver.toPodPath(ID, 'kubepods.slice'), {
		instanceOf: InvalidArgumentError,
		message: /cgroup_parent "kubepods\.slice" is a systemd slice, but the cgroup driver is cgroupfs/,
	});
	t.throws(() => driver.toPodPath(ID, '/a/../b'), {instanceOf: InvalidArgumentError, message: /^linux\.cgroup_parent "\/a\/\.\.\/b" must be absolute/});
});

test("a pod's scope is made of its monitor and that one's children, which go to a leaf: what gives controllers has no processes", async t => {
	const mountpoint = await mkdtemp(join(tmpdir(), 'berth-scope-'));
	t.teardown(() => rm(mountpoint, {recursive: true}));
	const {driver, scopes, calls} = setUp(mountpoint);
	const podPath = driver.toPodPath(ID, 'kubepods-pod1.slice');
	await mkdir(join(mountpoint, podPath), {recursive: true});
	await writeFile(join(mountpoint, podPath, 'cgroup.procs'), '100\n101\n102\n');
	await driver.openPod({sandboxId: ID, podPath, pid: 100, leaf: 'monitor'});
	t.like(scopes, [{name: `berth-${ID}.scope`, slice: 'kubepods-pod1.slice', pids: [100, 101, 102]}]);
	t.is(await readFile(join(mountpoint, podPath, 'monitor/cgroup.procs'), 'utf8'), '100\n101\n102\n');
	await writeFile(join(mountpoint, podPath, 'cgroup.procs'), '100\n');
	await driver.openPod({sandboxId: ID, podPath, pid: 100, leaf: `crio-${ID}.scope`});
	t.is(await readFile(join(mountpoint, podPath, `crio-${ID}.scope/cgroup.procs`), 'utf8'), '100\n');
	await driver.closePod(ID);
	t.deepEqual(calls, [['stop', `berth-${ID}.scope`]]);
});

test('limits of a pod are properties of its scope', async t => {
	const {driver, calls} = setUp();
	await driver.updatePod(ID, {...NO_RESOURCES, cpuShares: 1024n, cpuQuotaUs: 50_000n, memoryLimitBytes: 1_048_576n, memorySwapLimitBytes: -1n});
	const none = 2n ** 64n - 1n;
	t.deepEqual(calls, [
		[
			`berth-${ID}.scope`,
			[
				['CPUWeight', 't', 100n],
				['CPUQuotaPeriodUSec', 't', 100_000n],
				['CPUQuotaPerSecUSec', 't', 500_000n],
				['MemoryMax', 't', 1_048_576n],
				['MemorySwapMax', 't', none],
			],
		],
	]);
	await driver.updatePod(ID, NO_RESOURCES);
	t.is(calls.length, 1);
});

test('the monitor makes nothing of what is systemd’s: no scope, and no controllers above it', t => {
	const {driver} = setUp();
	const podPath = driver.toPodPath(ID, 'kubepods-pod1.slice');
	t.deepEqual(toSandboxCgroupPlan(v2At('/c'), podPath, null), {dirs: [], writes: [], join: []});
	const plan = toContainerCgroupPlan(v2At('/c'), `${podPath}/c1`, {...NO_RESOURCES, cpuShares: 2n}, 'all');
	t.deepEqual(plan.dirs, [`/c${podPath}/c1`]);
	t.deepEqual([...new Set(plan.writes.map(({path}) => path))], [`/c${podPath}/cgroup.subtree_control`, `/c${podPath}/c1/cpu.weight`]);
});

test('it is refused where there is more than cgroup v2, and with a cgroup_root that is no slice', t => {
	const parts = {units: {} as never, kernel: {} as never};
	t.throws(() => systemdDriver({...parts, cgroups: HYBRID, cgroupRoot: '/berth'}), {
		instanceOf: InvalidArgumentError,
		message: `runtime.cgroup_driver "systemd" needs cgroup v2 alone, and this machine's cgroups are hybrid: use "cgroupfs"`,
	});
	t.throws(() => systemdDriver({...parts, cgroups: v2At('/c'), cgroupRoot: '/a/b'}), {
		instanceOf: InvalidArgumentError,
		message: /^cgroup_root: the slice "a\/b\.slice"/,
	});
});
