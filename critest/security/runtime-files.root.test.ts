import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {pullBusybox, removePod, runContainer, runPod} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {assertHeld, COVERED, hostileConfig, MODE, podWithPid, waitForEnd, waitForLine, withCapabilities} from './hostile.js';

/** CVE-2019-5736 and CVE-2024-21626, release agents, core_pattern, masked files: the files by which others were left. */
const running = useDaemon(test);

test.serial("the runtime's program cannot be written to by way of /proc/<pid>/exe (CVE-2019-5736)", async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'exe', podWithPid(MODE.CONTAINER));
	const config = hostileConfig('overwriter', ['overwrite-runtime'], {securityContext: withCapabilities('SYS_PTRACE', 'DAC_OVERRIDE')});
	const id = await runContainer(cri, pod, config);
	await waitForLine(pod, config, 'watching');
	for (let i = 0; i < 150; i++) {
		const {exit_code} = await cri.call('ExecSync', {container_id: id, cmd: i === 149 ? ['touch', '/enough'] : ['/hostile/nothing']});
		t.is(exit_code, 0);
	}
	const lines = await waitForEnd(daemon, pod, {id, config});
	assertHeld(t, lines);
	t.regex(lines.at(-1) ?? '', /kept [1-9]/, 'no process of the runtime was met: the attack was not tried');
	await removePod(cri, pod);
});

for (const [title, add] of [
	['the usual capabilities', []],
	['CAP_SYS_PTRACE, CAP_DAC_OVERRIDE and CAP_MKNOD', ['SYS_PTRACE', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'MKNOD']],
] as const) {
	test.serial(`with ${title} no file leads out: descriptors, working directory, kernel files, masks, cgroups`, async t => {
		const {daemon} = running();
		const {cri} = daemon;
		await pullBusybox(cri);
		const marker = join(daemon.places.scratchDir, 'marker');
		await writeFile(marker, '');
		const pod = await runPod(daemon, 'files', podWithPid(MODE.CONTAINER));
		const config = hostileConfig('files', ['escape-files', marker], {securityContext: {...COVERED, ...withCapabilities(...add)}});
		const id = await runContainer(cri, pod, config);
		assertHeld(t, await waitForEnd(daemon, pod, {id, config}));
		await removePod(cri, pod);
	});
}

test.serial('a working directory that names a descriptor or a process is none of the node (CVE-2024-21626)', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const marker = join(daemon.places.scratchDir, 'marker');
	await writeFile(marker, '');
	const pod = await runPod(daemon, 'cwd', podWithPid(MODE.CONTAINER));
	const directories = Array.from({length: 24}, (_, fd) => [`/proc/self/fd/${fd}`, `/proc/1/fd/${fd}`]).flat();
	let refused = 0;
	let tries = 0;
	for (const [i, working_dir] of [...directories, '/proc/self/cwd', '/proc/self/root/../..'].entries()) {
		const config = hostileConfig(`c${i}`, ['escape-files', marker], {securityContext: COVERED, changes: {working_dir}});
		const id = await runContainer(cri, pod, config).catch(() => null);
		if (id === null) refused++;
		else {
			const lines = await waitForEnd(daemon, pod, {id, config});
			t.deepEqual(
				lines.filter(line => line.startsWith("FOUND node's") || line.startsWith('FOUND descriptor')),
				[],
				working_dir,
			);
		}
		tries++;
	}
	t.log(`${tries} working directories, ${refused} refused`);
	await removePod(cri, pod);
});
