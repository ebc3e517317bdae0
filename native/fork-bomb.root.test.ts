import {mkdir, readdir, readFile, rmdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {IS_PURE_V2} from './cgroup-rig.js';
import {LaunchRig, until} from './launch-rig.js';
import type {CgroupPlan, LaunchSpec} from './native.js';

const SIGKILL = 9;
/** Each process makes others without end, and begins anew where a shell would give up: nothing but a signal ends it. */
const BOMB = `cat > /tmp/bomb <<'EOF'
trap 'exec sh /tmp/bomb' EXIT
while :; do sh /tmp/bomb & done
EOF
exec 2>/dev/null; exec sh /tmp/bomb`;

interface Bomb {
	readonly rig: LaunchRig;
	readonly spec: LaunchSpec;
	/** Processes in its cgroup now. */
	processes(): Promise<number>;
}

/** In the host's PID namespace nothing dies of the end of another; limited by `limit` in the cgroup above its own. */
async function setOff(rig: LaunchRig, limit: number, change: (plan: CgroupPlan) => CgroupPlan = plan => plan): Promise<Bomb & {end(): Promise<void>}> {
	const monitor = await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod'));
	const made = await rig.launchSpec('pod', BOMB, {namespaces: {pid: 'host', cgroup: 'new'}, log: null});
	const [dir = ''] = made.cgroup.dirs;
	const plan = {...made.cgroup, writes: [{path: `${path.dirname(dir)}/pids.max`, value: String(limit), required: true}]};
	const spec = {...made, cgroup: change(plan)};
	await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	const processes = async (): Promise<number> => {
		// The monitor removes it as soon as nothing is in it any more.
		const names = (await readdir(dir, {recursive: true}).catch(unlessGone([]))).filter(name => path.basename(name) === 'cgroup.procs');
		const lists = await Promise.all(names.map(name => readFile(`${dir}/${name}`, 'utf8').catch(unlessGone(''))));
		return lists.reduce((sum, list) => sum + list.split('\n').length - 1, 0);
	};
	await until(async () => ((await processes()) >= limit ? true : null));
	return {
		rig,
		spec,
		processes,
		end: async () => {
			await monitor.signal(spec.containerId, SIGKILL, true);
			await rig.exitOf(spec.containerId);
		},
	};
}

function unlessGone<T>(nothing: T): (error: NodeJS.ErrnoException) => T {
	return error => {
		if (error.code !== 'ENOENT' && error.code !== 'ENODEV') throw error;
		return nothing;
	};
}

async function assertAllDie(t: ExecutionContext, {rig, spec, processes, end}: Awaited<ReturnType<typeof setOff>>): Promise<void> {
	await end();
	t.is(await until(async () => ((await processes()) === 0 ? 0 : null)), 0);
	const {exitCode} = await rig.exitOf(spec.containerId);
	t.is(exitCode, 128 + SIGKILL);
	const monitor = await (await rig.openLauncher()).findMonitor('pod');
	await monitor?.removeContainer(spec.containerId);
	t.deepEqual(await monitor?.list(), []);
}

test.serial('a fork bomb that is limited by its pod dies wholly of one SIGKILL to all', async t => {
	await using rig = await LaunchRig.open();
	await assertAllDie(t, await setOff(rig, 120));
});

test.serial('so it does by the freezer of v1, where there is no cgroup.kill', async t => {
	await using rig = await LaunchRig.open();
	if (IS_PURE_V2) {
		t.pass('a machine without v1 has cgroup.kill: the test above');
		return;
	}
	const dir = `/sys/fs/cgroup/freezer/${path.basename(rig.dir)}`;
	await mkdir(dir);
	t.teardown(async () => {
		await rmdir(dir);
	});
	await assertAllDie(
		t,
		await setOff(rig, 120, plan => {
			const own = `${dir}/c`;
			return {...plan, dirs: [...plan.dirs, own], join: [...plan.join, own]};
		}),
	);
});

test.serial('what a bomb hides in cgroups below its own dies too', async t => {
	await using rig = await LaunchRig.open();
	const bomb = await setOff(rig, 120);
	const [dir = ''] = bomb.spec.cgroup.dirs;
	await mkdir(`${dir}/deeper`);
	let moved = 0;
	for (const pid of (await readFile(`${dir}/cgroup.procs`, 'utf8')).split('\n').slice(0, 40))
		if (pid !== '')
			await writeFile(`${dir}/deeper/cgroup.procs`, pid).then(
				() => moved++,
				() => undefined,
			);
	t.true(moved > 0);
	await assertAllDie(t, bomb);
});
