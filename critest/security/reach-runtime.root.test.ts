import {readFile} from 'node:fs/promises';
import test from 'ava';
import type {LinuxContainerSecurityContext} from '../../proto/cri.js';
import type {Daemon} from '../rig/daemon.js';
import {listRunProcesses} from '../rig/leaks.js';
import {pullBusybox, removePod, runContainer, runPod} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {assertHeld, hostileConfig, MODE, podWithPid, RUNTIME_DEFAULT, waitForEnd} from './hostile.js';

/** The daemon, the launcher and the monitors, as seen by a container in the node's PID namespace: seen, and not to be opened, read or traced. */
const running = useDaemon(test);

/** @returns the pids by name: what a container in the node's PID namespace finds by the same names. */
async function findRuntime(daemon: Daemon): Promise<ReadonlyMap<string, number>> {
	const pids = new Map([['berth', daemon.pid()]]);
	for (const pid of (await listRunProcesses(daemon.places)).keys()) {
		const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim();
		if (name === 'berth-launcher' || name === 'berth-monitor') pids.set(name, pid);
	}
	return pids;
}

/** The two others open the memory of any process for reading, in newer kernels (mm_access in kernel/fork.c: perfmon_capable). */
const ALL_BUT_TRACE = {capabilities: {add_capabilities: ['ALL'], drop_capabilities: ['SYS_PTRACE', 'PERFMON', 'SYS_ADMIN']}};
const TRIALS: readonly (readonly [string, LinuxContainerSecurityContext])[] = [
	['the usual capabilities', {}],
	['the usual capabilities and the default seccomp profile', {seccomp: RUNTIME_DEFAULT}],
	['all capabilities but CAP_SYS_PTRACE, CAP_PERFMON and CAP_SYS_ADMIN', ALL_BUT_TRACE],
	['a user that is not root', {run_as_user: {value: 65534}}],
];

for (const [i, [title, security]] of TRIALS.entries())
	test.serial(`in the node's PID namespace, with ${title}, nothing of daemon, launcher and monitor can be read, traced or taken`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPod(daemon, `seen-${i}`, podWithPid(MODE.NODE));
		const pids = await findRuntime(daemon);
		t.deepEqual([...pids.keys()].sort(), ['berth', 'berth-launcher', 'berth-monitor']);
		const config = hostileConfig('reach', ['reach-runtime', ...[...pids.values()].map(String)], {pid: MODE.NODE, securityContext: security});
		const id = await runContainer(daemon.cri, pod, config);
		const lines = await waitForEnd(daemon, pod, {id, config});
		assertHeld(t, lines);
		t.regex(lines.at(-1) ?? '', /seen 3$/, 'they were not there to be attacked');
		await removePod(daemon.cri, pod);
	});

test.serial(
	"with CAP_SYS_PTRACE in the node's PID namespace the node's processes are open, as the kernel has it; the launcher's and monitor's environment is empty",
	async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPod(daemon, 'open', podWithPid(MODE.NODE));
		const pids = await findRuntime(daemon);
		const targets = [pids.get('berth-launcher'), pids.get('berth-monitor')].map(String);
		const config = hostileConfig('reach', ['reach-runtime', ...targets], {pid: MODE.NODE, securityContext: {capabilities: {add_capabilities: ['SYS_PTRACE']}}});
		const id = await runContainer(daemon.cri, pod, config);
		const lines = await waitForEnd(daemon, pod, {id, config});
		// The same program, where the kernel lets it: what the other tests find nothing with does find.
		for (const pid of targets)
			for (const way of [
				`FOUND file /proc/${pid}/mem`,
				`FOUND opened /proc/${pid}/root`,
				`FOUND pidfd_getfd ${pid}`,
				`FOUND process_vm_readv ${pid}`,
				`FOUND listed /proc/${pid}/map_files`,
				`FOUND traced ${pid}`,
			])
				t.true(lines.includes(way), way);
		t.deepEqual(
			lines.filter(line => line.endsWith('/environ')),
			[],
		);
		await removePod(daemon.cri, pod);
	},
);

for (const pid of [MODE.CONTAINER, MODE.POD])
	test.serial(`in a PID namespace that is not the node's (mode ${pid}) there is no monitor and no launcher, with all capabilities`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPod(daemon, `own-${pid}`, podWithPid(pid));
		const pids = [...(await findRuntime(daemon)).values()].map(String);
		const config = hostileConfig('reach', ['reach-runtime', ...pids], {pid, securityContext: {capabilities: {add_capabilities: ['ALL']}}});
		const id = await runContainer(daemon.cri, pod, config);
		const lines = await waitForEnd(daemon, pod, {id, config});
		assertHeld(t, lines);
		t.regex(lines.at(-1) ?? '', /seen 0$/);
		await removePod(daemon.cri, pod);
	});
