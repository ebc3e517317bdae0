import {mkdir, readFile, rmdir, writeFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {silentLog} from '../../base/log.js';
import {systemClock} from '../../base/clock.js';
import type {CgroupPlan} from '../../native/native.js';
import {openNative} from '../../native/open-native.js';
import type {ContainerRecord} from '../container/record.js';
import type {ResourceFacts} from '../sandbox/record.js';
import {CpuSamples, readContainerStats} from '../stats/container-stats.js';
import {DEFAULT_DEVICE_RULES} from './device-rules.js';
import {openCgroups, v1Dir} from './hierarchies.js';
import {toContainerCgroupPlan, toSandboxCgroupPlan} from './plan.js';
import {NO_RESOURCES} from './resources.js';

const {kernel} = openNative();

/** As the monitor does it: directories, then writes in order; what was made is removed at the end, in reverse. */
async function apply(t: ExecutionContext, plan: CgroupPlan): Promise<void> {
	for (const dir of plan.dirs) {
		await mkdir(dir);
		t.teardown(() => rmdir(dir));
		for (const file of ['cpuset.cpus', 'cpuset.mems']) if (/cpuset/.test(dir)) await writeFile(join(dir, file), await readFile(join(dirname(dir), file)));
	}
	for (const {path, value, required} of plan.writes) {
		try {
			await writeFile(path, value);
		} catch (error) {
			if (required) throw error;
		}
	}
}

test('the kernel takes a plan with every limit in its order, and says the same back', async t => {
	const hierarchies = await openCgroups();
	const pod = `/berth-plan-${process.pid}`;
	const hasCpuset = hierarchies.mode !== 'v2' || (await readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8')).includes('cpuset');
	if (!hasCpuset) t.log('no cpuset: this kernel lacks the controller (user-mode Linux)');
	const resources: ResourceFacts = {
		...NO_RESOURCES,
		cpuShares: 512n,
		cpuQuotaUs: 50_000n,
		memoryLimitBytes: 16_777_216n,
		...(hasCpuset ? {cpusetCpus: '0', cpusetMems: '0'} : {}),
		unified: {'pids.max': '33'},
	};
	await apply(t, toSandboxCgroupPlan(hierarchies, pod, null));
	const path = `${pod}/c1`;
	await apply(t, toContainerCgroupPlan(hierarchies, path, resources, DEFAULT_DEVICE_RULES));
	const said = async (controller: string, file: string): Promise<string> =>
		(await readFile(join(v1Dir(hierarchies, controller, path) ?? join('/sys/fs/cgroup', path), file), 'utf8')).trim();
	t.is(await said('pids', 'pids.max'), '33');
	if (hasCpuset) t.is(await said('cpuset', 'cpuset.cpus'), '0');
	if (hierarchies.mode === 'v2') {
		t.is(await said('memory', 'memory.max'), '16777216');
		t.is(await said('cpu', 'cpu.max'), '50000 100000');
		t.is(await said('cpu', 'cpu.weight'), '59');
	} else {
		t.is(await said('memory', 'memory.limit_in_bytes'), '16777216');
		t.is(await said('cpu', 'cpu.cfs_quota_us'), '50000');
		t.is(await said('cpu', 'cpu.shares'), '512');
		t.deepEqual((await said('devices', 'devices.list')).split('\n').toSorted(), [
			'b *:* m',
			'c *:* m',
			'c 136:* rwm',
			'c 1:3 rwm',
			'c 1:5 rwm',
			'c 1:7 rwm',
			'c 1:8 rwm',
			'c 1:9 rwm',
			'c 5:0 rwm',
			'c 5:1 rwm',
			'c 5:2 rwm',
		]);
	}
	const images = {snapshotUsages: async () => new Map(), fsInfo: () => ({containerFs: {mountpoint: '/', bytes: 0, inodes: 0}})};
	const runtime = {kernel, images, clock: systemClock, cgroups: hierarchies, cpuSamples: new CpuSamples(), log: silentLog} as never;
	const [stats] = await readContainerStats(runtime, [{id: basename(path), cgroupPath: path} as ContainerRecord]);
	t.like(stats, {cpu: {usageCoreNs: 0n}, memory: {limitBytes: 16_777_216n}, pids: 0n});
});
