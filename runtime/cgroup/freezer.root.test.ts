import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, readFile, rmdir, writeFile} from 'node:fs/promises';
import test, {type ExecutionContext} from 'ava';
import {systemClock} from '../../base/clock.js';
import {UnimplementedError} from '../../base/errors.js';
import {openNative} from '../../native/open-native.js';
import {freezeCgroup, thawCgroup} from './freezer.js';
import {absoluteDirs, openCgroups, type CgroupHierarchies} from './hierarchies.js';

const {kernel} = openNative();

async function cpuTicks(pid: number): Promise<number> {
	return Number((await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')[13]);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
	while (!(await holds())) await systemClock.sleep(20);
}

/** A process that is always busy, in a cgroup of its own. */
async function busyProcess(t: ExecutionContext, cgroups: CgroupHierarchies, path: string): Promise<number> {
	const dirs = absoluteDirs(cgroups, path);
	const child = spawn('/bin/sh', ['-c', 'while :; do :; done'], {stdio: 'ignore'});
	const ended = once(child, 'exit');
	t.teardown(async () => {
		await thawCgroup({kernel, cgroups}, path);
		child.kill('SIGKILL');
		await ended;
		for (const dir of dirs) await rmdir(dir);
	});
	for (const dir of dirs) await mkdir(dir);
	const pid = child.pid ?? 0;
	for (const dir of dirs) {
		if (dir.includes('/cpuset/')) continue;
		await writeFile(`${dir}/cgroup.procs`, String(pid));
	}
	await until(async () => (await cpuTicks(pid)) > 0);
	return pid;
}

async function assertFreezes(t: ExecutionContext, cgroups: CgroupHierarchies): Promise<void> {
	const path = `/berth-freezer-${process.pid}-${cgroups.mode}`;
	const pid = await busyProcess(t, cgroups, path);
	const parts = {kernel, clock: systemClock, cgroups};
	await freezeCgroup(parts, path);
	await freezeCgroup(parts, path);
	const before = await cpuTicks(pid);
	await systemClock.sleep(200);
	t.is(await cpuTicks(pid), before);
	await thawCgroup(parts, path);
	await until(async () => (await cpuTicks(pid)) > before);
	await thawCgroup(parts, path);
	t.pass();
}

test.serial("this machine's freezer freezes and thaws", async t => assertFreezes(t, await openCgroups()));

test.serial("without a unified hierarchy it is v1's freezer; without either it is refused", async t => {
	const cgroups = await openCgroups();
	const v1: CgroupHierarchies = {mode: 'v1', v1: cgroups.v1, unified: null};
	const none: CgroupHierarchies = {mode: 'v1', v1: [], unified: null};
	await t.throwsAsync(freezeCgroup({kernel, clock: systemClock, cgroups: none}, '/none'), {instanceOf: UnimplementedError, message: /neither the freezer/});
	if (cgroups.mode === 'v2') t.deepEqual(cgroups.v1, []);
	else await assertFreezes(t, v1);
});

test.serial('thawing a cgroup that is gone is success', async t => {
	await t.notThrowsAsync(thawCgroup({kernel, cgroups: await openCgroups()}, `/berth-gone-${process.pid}`));
});
