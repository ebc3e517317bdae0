import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {ContainerConfig, Mount} from '../../proto/cri.js';
import type {Daemon} from '../rig/daemon.js';
import {HANDLERS, nameOf, RUNTIME} from '../handlers/handlers.js';
import {createContainer, pullBusybox, removePod, runContainer, runPod, runPodBy, type Pod} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {assertHeld, COVERED, hostileConfig, MODE, podWithPid, waitForEnd, waitForLine} from './hostile.js';
import {pullHostile} from './sentinel.js';

/**
 * CVE-2025-31133 and CVE-2025-52565: a container swaps /dev/null or /dev/console of a volume, which is another's /dev, for a symlink to a file of
 * procfs, while that other one is made. The mask's source, the standard streams and the console must come from nowhere else.
 */
const running = useDaemon(test, {runtime: RUNTIME});

interface Race {
	readonly pod: Pod;
	/** Of the node: the /dev of what is made. */
	readonly volume: string;
	readonly rounds: number;
	readonly changes: (round: number) => Partial<ContainerConfig>;
}

/** Makes containers that look at themselves. @returns what each wrote; what was refused wrote nothing. */
async function makeContainers(t: ExecutionContext, daemon: Daemon, {pod, rounds, changes}: Race): Promise<readonly (readonly string[])[]> {
	const written: (readonly string[])[] = [];
	for (let i = 0; i < rounds; i++) {
		const config = hostileConfig(`c${i}`, ['check-covers'], {securityContext: COVERED, changes: changes(i)});
		const id = await createContainer(daemon.cri, pod, config).catch((error: Error) => {
			t.regex(error.message, /\/dev/, 'what is refused names its place');
			return null;
		});
		if (id === null) continue;
		await daemon.cri.call('StartContainer', {container_id: id});
		const lines = (await waitForEnd(daemon, pod, {id, config})).map(line => line.trimEnd());
		t.deepEqual(
			lines.filter(line => line.startsWith('FOUND')),
			[],
			`round ${i}`,
		);
		written.push(lines);
		await daemon.cri.call('RemoveContainer', {container_id: id});
	}
	return written;
}

async function swap(daemon: Daemon, race: Race, name: string, target: string): Promise<() => Promise<number>> {
	const config = hostileConfig(`swapper-${name}`, ['swap-files', '/shared', name, target], {
		changes: {mounts: [{host_path: race.volume, container_path: '/shared'}]},
	});
	const id = await runContainer(daemon.cri, race.pod, config);
	await waitForLine(race.pod, config, 'watching');
	return async () => {
		await writeFile(join(race.volume, 'enough'), '');
		const [last = ''] = (await waitForEnd(daemon, race.pod, {id, config})).slice(-1);
		return Number(/tries (\d+)/.exec(last)?.[1] ?? 0);
	};
}

// The second may be written to, so that it can become a stream.
for (const target of ['/proc/sys/kernel/core_pattern', '/proc/self/oom_score_adj'])
	test.serial(`no mask and no stream comes from /dev/null while that is swapped for a link to ${target} (CVE-2025-31133)`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const volume = join(daemon.places.scratchDir, `dev-${target.slice(-3)}`);
		await mkdir(volume);
		const pod = await runPod(daemon, `null-${target.slice(-3)}`, podWithPid(MODE.CONTAINER));
		const mounts: Mount[] = [{host_path: volume, container_path: '/dev'}];
		const race: Race = {pod, volume, rounds: 24, changes: () => ({mounts})};
		const end = await swap(daemon, race, 'null', target);
		const made = await makeContainers(t, daemon, race);
		const swaps = await end();
		t.log(`${race.rounds} containers: ${made.length} made, ${race.rounds - made.length} refused; ${swaps} swaps`);
		// Both: some were made at a moment when it was the node that it should be, others met the link.
		t.true(made.length > 0 && made.length < race.rounds);
		t.true(swaps > race.rounds);
		await removePod(daemon.cri, pod);
	});

for (const handler of HANDLERS)
	test.serial(
		`${nameOf(handler)}: masks are what they should be in a container whose image has /dev/null and /dev/console as links to what they mask`,
		async t => {
			const {daemon} = running();
			const links = ['null', 'console', 'pts', 'ptmx', 'stdin'].map(
				name => ({type: 'symlink', path: `dev/${name}`, target: '/proc/sys/kernel/core_pattern'}) as const,
			);
			const image = await pullHostile(running(), `links-${nameOf(handler)}`, links);
			const pod = await runPodBy(daemon, handler, {name: `links-${nameOf(handler)}`, ...podWithPid(MODE.CONTAINER)});
			for (const tty of [false, true]) {
				const config = hostileConfig(`links-${tty}`, ['check-covers'], {securityContext: COVERED, changes: {image: {image}, tty}});
				const id = await runContainer(daemon.cri, pod, config);
				t.true(assertHeld(t, await waitForEnd(daemon, pod, {id, config})) > 10);
			}
			await removePod(daemon.cri, pod);
		},
	);

test.serial('no terminal lands on a file of procfs while /dev/console is swapped for a link to it (CVE-2025-52565)', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const volume = join(daemon.places.scratchDir, 'dev-console');
	await mkdir(join(volume, 'pts'), {recursive: true});
	const pod = await runPod(daemon, 'console', podWithPid(MODE.CONTAINER));
	// A real devpts below a /dev of the attacker's: without one no terminal is opened at all.
	const mounts: Mount[] = [
		{host_path: volume, container_path: '/dev'},
		{host_path: '/dev/pts', container_path: '/dev/pts'},
	];
	const race: Race = {pod, volume, rounds: 24, changes: () => ({mounts, tty: true, stdin: true})};
	const end = await swap(daemon, race, 'console', '/proc/sys/kernel/core_pattern');
	const made = await makeContainers(t, daemon, race);
	const swaps = await end();
	t.log(`${race.rounds} containers: ${made.length} made, ${race.rounds - made.length} refused; ${swaps} swaps`);
	t.true(made.length > 0 && made.length < race.rounds);
	await removePod(daemon.cri, pod);
});

test.serial('a terminal is opened in a devpts only, whatever lies at /dev/pts/ptmx (CVE-2025-52565)', async t => {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const volume = join(daemon.places.scratchDir, 'pts');
	await mkdir(volume);
	const pod = await runPod(daemon, 'pts', podWithPid(MODE.CONTAINER));
	const race: Race = {pod, volume, rounds: 16, changes: () => ({mounts: [{host_path: volume, container_path: '/dev/pts'}], tty: true})};
	const end = await swap(daemon, race, 'ptmx', '/proc/self/fd/0');
	const made = await makeContainers(t, daemon, race);
	const swaps = await end();
	t.log(`${race.rounds} containers with a terminal: ${made.length} made; ${swaps} swaps`);
	t.is(made.length, 0, 'a terminal of no devpts');
	await removePod(daemon.cri, pod);
});
