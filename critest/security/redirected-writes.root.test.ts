import {mkdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {HANDLERS, nameOf, RUNTIME} from '../handlers/handlers.js';
import {createContainer, pullBusybox, removePod, runContainer, runPod, runPodBy, toContainerConfig} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {COVERED, hostileConfig, MODE, podWithPid, waitForEnd, waitForLine} from './hostile.js';
import {makeSentinel} from './sentinel.js';

/** CVE-2025-52881: what the runtime writes below /proc (oom_score_adj, sysctls, labels) must go to procfs, whatever is mounted there. */
const running = useDaemon(test, {runtime: RUNTIME, logLevel: 'warn'});
/** Of neither the daemon nor a default. */
const SCORE = 537;

/** Where volumes are put: over what is written to, over a directory of it, over links that lead there. */
const TARGETS = [
	'/proc',
	'/proc/self',
	'/proc/self/attr',
	'/proc/self/attr/exec',
	'/proc/self/oom_score_adj',
	'/proc/thread-self/attr',
	'/proc/1',
	'/proc/1/attr',
	'/proc/sys',
	'/proc/sys/kernel',
	'/proc/sys/kernel/core_pattern',
	'/proc/sysrq-trigger',
	'/proc/self/fd',
	'/proc/self/root',
	'/proc/no/such',
	'/sys',
	'/sys/fs/cgroup',
];
const IS_FILE = /(exec|oom_score_adj|core_pattern|sysrq-trigger)$/;

for (const handler of HANDLERS)
	test.serial(`${nameOf(handler)}: a volume over what the runtime writes to below /proc gets nothing of it`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const sentinel = await makeSentinel(join(daemon.places.scratchDir, `sentinel-${nameOf(handler)}`));
		// The decoys: files and links to files, by the names that are written to.
		const decoy = join(daemon.places.scratchDir, `decoy-${nameOf(handler)}`);
		for (const directory of ['self/attr', '1/attr', 'attr/apparmor', 'kernel']) await mkdir(join(decoy, directory), {recursive: true});
		for (const path of ['self/attr/exec', 'self/oom_score_adj', '1/oom_score_adj', 'attr/exec', 'attr/apparmor/exec', 'kernel/core_pattern', 'oom_score_adj'])
			await symlink(sentinel.marker, join(decoy, path));
		const file = join(sentinel.directory, 'oom_score_adj');
		const before = await sentinel.look();
		const pod = await runPodBy(daemon, handler, {name: `writes-${nameOf(handler)}`, ...podWithPid(MODE.CONTAINER)});
		const refused: string[] = [];
		let execs = 0;
		for (const [i, container_path] of TARGETS.entries()) {
			const mounts = [{host_path: IS_FILE.test(container_path) ? file : decoy, container_path}];
			const linux = {security_context: COVERED, resources: {oom_score_adj: SCORE}};
			const config = toContainerConfig(`w${i}`, ['sleep', '1000'], {mounts, linux, stop_signal: 9});
			const id = await runContainer(daemon.cri, pod, config).catch((error: Error) => {
				// crun says `proc/self/root`.
				t.regex(error.message, /proc|sys/, `${container_path} is refused without a path`);
				return null;
			});
			if (id === null) refused.push(container_path);
			else {
				const {info} = await daemon.cri.call('ContainerStatus', {container_id: id, verbose: true});
				const pid = Number(info['pid'] ?? (JSON.parse(info['info'] ?? '{}') as {readonly pid?: number}).pid);
				t.is((await readFile(`/proc/${pid}/oom_score_adj`, 'utf8')).trim(), String(SCORE), container_path);
				// An exec's writes as well; where /proc is a decoy some runtimes make none.
				await daemon.cri.call('ExecSync', {container_id: id, cmd: ['true']}).then(
					() => execs++,
					() => null,
				);
			}
			t.deepEqual(await sentinel.look(), before, `${container_path}: something was written by way of a decoy`);
		}
		t.log(`${TARGETS.length} targets: ${refused.length} refused (${refused.join(' ')}), ${execs} with an exec`);
		t.true(execs > 0 && refused.length > 0);
		await removePod(daemon.cri, pod);
	});

test.serial('sysctls and scores go to procfs while a volume of the container is swapped for a link into /proc', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const [volume, mounted] = ['swapped', 'mounted'].map(name => join(daemon.places.scratchDir, name)) as [string, string];
	await mkdir(volume);
	const sentinel = await makeSentinel(mounted);
	const before = await sentinel.look();
	const corePattern = await readFile('/proc/sys/kernel/core_pattern', 'utf8');
	const pod = await runPod(daemon, 'race', podWithPid(MODE.CONTAINER));
	const shared = {host_path: volume, container_path: '/shared'};
	const swapper = hostileConfig('swapper', ['swap-directories', '/shared', '/proc/sys'], {changes: {mounts: [shared]}});
	const swapperId = await runContainer(daemon.cri, pod, swapper);
	await waitForLine(pod, swapper, 'watching');
	const rounds = 24;
	let made = 0;
	for (let i = 0; i < rounds; i++) {
		const config = hostileConfig(`c${i}`, ['check-covers'], {
			securityContext: COVERED,
			changes: {mounts: [shared, {host_path: mounted, container_path: '/shared/mount'}], linux: {resources: {oom_score_adj: SCORE}}},
		});
		const id = await createContainer(daemon.cri, pod, config).catch((error: Error) => {
			t.regex(error.message, /\/(proc|shared)/);
			return null;
		});
		t.deepEqual(await sentinel.look(), before);
		if (id === null) continue;
		made++;
		await daemon.cri.call('StartContainer', {container_id: id});
		const lines = await waitForEnd(daemon, pod, {id, config});
		t.deepEqual(
			lines.filter(line => line.startsWith('FOUND')),
			[],
			`round ${i}`,
		);
		await daemon.cri.call('RemoveContainer', {container_id: id});
	}
	await writeFile(join(volume, 'enough'), '');
	const [last = ''] = (await waitForEnd(daemon, pod, {id: swapperId, config: swapper})).slice(-1);
	t.log(`${rounds} containers: ${made} made, ${rounds - made} refused; swaps: ${last}`);
	t.true(made > 0 && made < rounds, 'the volume was met both as a directory and as a link');
	t.is(await readFile('/proc/sys/kernel/core_pattern', 'utf8'), corePattern);
	await removePod(daemon.cri, pod);
});
