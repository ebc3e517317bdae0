import {readFile} from 'node:fs/promises';
import test from 'ava';
import {buildImages} from '../fixtures/images.js';
import {openRegistry} from '../fixtures/registry.js';
import {containerCgroup, isPureV2, MEMORY_LIMIT, readLimit} from '../rig/cgroup-files.js';
import {run, runOk} from '../rig/command.js';
import {startDaemon, type Daemon} from '../rig/daemon.js';
import {pullBusybox, removePod, runContainer, runPod, toContainerConfig, until} from '../rig/pods.js';

/** Where the driver works: elsewhere it is the refusal that is tested. `make test-cgroup2 ARGS=systemd` runs this in such a machine. */
const WORKS = (await isPureV2()) && (await readFile('/proc/1/comm', 'utf8')).trim() === 'systemd';
const MIB = 1024 * 1024;
/** CRI v1: CgroupDriver.SYSTEMD. */
const SYSTEMD = 0;

async function withDaemon(work: (daemon: Daemon) => Promise<void>): Promise<void> {
	const registry = await openRegistry(await buildImages());
	try {
		await using daemon = await startDaemon(registry, {runtime: 'cgroup_driver = "systemd"'});
		await work(daemon);
	} finally {
		await registry.close();
	}
}

async function show(unit: string, property: string): Promise<string> {
	return (await runOk(['systemctl', 'show', '--value', '-p', property, unit])).trim();
}

if (WORKS)
	test.serial(
		'pods are scopes in the slice that is named: limited, seen by systemd, kept over a daemon-reload and over the daemon, and gone at their end',
		async t => {
			await withDaemon(async daemon => {
				const {cri} = daemon;
				t.is((await cri.call('RuntimeConfig', {})).linux?.cgroup_driver, SYSTEMD);
				await pullBusybox(cri);
				const pod = await runPod(daemon, 'scope', {linux: {cgroup_parent: `berthtest${daemon.places.run}-pod1.slice`}});
				const unit = `berth-${pod.id}.scope`;
				t.is(await show(unit, 'ActiveState'), 'active');
				t.is(await show(unit, 'Slice'), `berthtest${daemon.places.run}-pod1.slice`);
				const id = await runContainer(cri, pod, toContainerConfig('c', ['sleep', '1000'], {linux: {resources: {memory_limit_in_bytes: 64 * MIB}}}));
				const cgroup = await containerCgroup(cri, id);
				t.is(cgroup, `/berthtest${daemon.places.run}.slice/berthtest${daemon.places.run}-pod1.slice/${unit}/${id}`);
				t.is(await readLimit(cgroup, MEMORY_LIMIT), String(64 * MIB));
				await cri.call('UpdatePodSandboxResources', {pod_sandbox_id: pod.id, resources: {memory_limit_in_bytes: 96 * MIB}});
				t.is(await show(unit, 'MemoryMax'), String(96 * MIB));
				await daemon.kill();
				await runOk(['systemctl', 'daemon-reload']);
				await daemon.start();
				t.is(await readLimit(`${cgroup}/..`, MEMORY_LIMIT), String(96 * MIB));
				t.is(await readLimit(cgroup, MEMORY_LIMIT), String(64 * MIB));
				t.is((await cri.call('ExecSync', {container_id: id, cmd: ['true']})).exit_code, 0);
				await removePod(cri, pod);
				await until(
					'systemd forgets the scope',
					() => run(['systemctl', 'is-active', unit]),
					({exitCode}) => exitCode !== 0,
				);
				t.is(await show(unit, 'LoadState'), 'not-found');
			});
		},
	);
else
	test.serial('where systemd is not process 1, or cgroups are not v2 alone, the daemon refuses to start, and says why and what to do', async t => {
		const error = await t.throwsAsync(withDaemon(async () => undefined));
		t.regex(error?.message ?? '', /runtime\.cgroup_driver \\"systemd\\" needs (cgroup v2 alone|systemd as process 1).*use \\"cgroupfs\\"/);
	});
