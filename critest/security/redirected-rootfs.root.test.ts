import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {nameOf, RUNTIME} from '../handlers/handlers.js';
import {createContainer, removePod, runPodBy, type Pod} from '../rig/pods.js';
import {useDaemon, type Running} from '../rig/use-daemon.js';
import {assertHeld, COVERED, hostileConfig, MODE, podWithPid, waitForEnd} from './hostile.js';
import {makeSentinel, pullHostile, type Sentinel} from './sentinel.js';

/** An image in which what the runtime mounts over, writes or reads is a symlink to elsewhere: a container of it is refused, or is a container. */
const running = useDaemon(test, {runtime: RUNTIME, logLevel: 'warn'});

const PLACES = ['dev', 'etc', 'sys', 'proc', 'etc/passwd', 'etc/hosts', 'dev/shm', 'dev/null', 'dev/console', 'sys/fs/cgroup'] as const;
/** Files, or what is mounted over whole: nothing is asked for below them. */
const BARE: readonly string[] = ['etc/passwd', 'etc/hosts', 'dev/null', 'dev/console', 'sys/fs/cgroup'];
const UP = '../'.repeat(20);
const toTargets = ({directory, file}: Sentinel): Readonly<Record<string, string>> => ({
	absolute: directory,
	relative: `${UP}${directory.slice(1)}`,
	file,
	dangling: `${UP}${directory.slice(1)}/empty/new/place`,
	loop: 'again',
	process: '/proc/1',
	kernel: '/proc/sys/kernel',
});
/** What is tried of a place under a handler. Another program for each container costs more. */
function chooseKinds(handler: string, place: string): readonly string[] {
	if (handler !== '') return place.startsWith('etc/') || place === 'sys/fs/cgroup' ? [] : ['relative', 'loop'];
	return BARE.includes(place) ? ['relative', 'dangling', 'loop'] : ['absolute', 'relative', 'file', 'dangling', 'loop', 'process', 'kernel'];
}

interface Trial {
	readonly place: string;
	readonly kind: string;
	readonly target: string;
	readonly sentinel: Sentinel;
	readonly pod: Pod;
}

/** @returns what refused it; null: it ran, and everything held. */
async function tryImage(t: ExecutionContext, rig: Running, {place, kind, target, sentinel, pod}: Trial): Promise<string | null> {
	const {daemon} = rig;
	const name = `${place.replaceAll('/', '-')}-${kind}`;
	const loop = kind === 'loop' ? `/${place}.again` : target;
	const entries = [
		{type: 'symlink', path: place, target: loop} as const,
		...(kind === 'loop' ? [{type: 'symlink', path: `${place}.again`, target: `/${place}`} as const] : []),
	];
	const below = !BARE.includes(place);
	// A working directory, a volume and a device below the place, which the runtime makes.
	const image = await pullHostile(rig, name, entries, below ? {WorkingDir: `/${place}/made/work`, Volumes: {[`/${place}/made/volume`]: {}}} : {});
	const hosts = join(daemon.places.scratchDir, 'hosts');
	const config = hostileConfig(name, ['escape-files', sentinel.marker], {
		securityContext: {...COVERED, readonly_rootfs: false},
		changes: {
			image: {image},
			devices: below ? [{host_path: '/dev/zero', container_path: `/${place}/made/zero`, permissions: 'rw'}] : [],
			mounts: ['/etc/hosts', ...(below ? [`/${place}/made/file`] : [])].map(container_path => ({host_path: hosts, container_path})),
		},
	});
	const made: {id: string | null} = {id: null};
	try {
		made.id = await createContainer(daemon.cri, pod, config);
		await daemon.cri.call('StartContainer', {container_id: made.id});
	} catch (error) {
		if (made.id !== null) await daemon.cri.call('RemoveContainer', {container_id: made.id});
		return (error as Error).message;
	}
	const lines = await waitForEnd(daemon, pod, {id: made.id, config});
	await daemon.cri.call('RemoveContainer', {container_id: made.id});
	t.deepEqual(
		lines.filter(line => line.startsWith('FOUND')),
		[],
		`${name}: ${target}`,
	);
	return null;
}

for (const handler of ['', 'runc', 'crun'] as const) {
	test.serial(`${nameOf(handler)}: an image whose /dev, /etc, /sys, /proc or files of them lead elsewhere has nothing of the node`, async t => {
		const rig = running();
		const {daemon} = rig;
		const sentinel = await makeSentinel(join(daemon.places.scratchDir, `sentinel-${nameOf(handler)}`));
		await writeFile(join(daemon.places.scratchDir, 'hosts'), 'hosts of the pod\n');
		const before = await sentinel.look();
		const pod = await runPodBy(daemon, handler, {name: `links-${nameOf(handler)}`, ...podWithPid(MODE.CONTAINER)});
		let refused = 0;
		let ran = 0;
		for (const place of PLACES)
			for (const [kind, target] of Object.entries(toTargets(sentinel))) {
				if (!chooseKinds(handler, place).includes(kind)) continue;
				const message = await tryImage(t, rig, {place, kind, target, sentinel, pod});
				t.deepEqual(await sentinel.look(), before, `${place} → ${target}: the node's tree changed`);
				if (message === null) ran++;
				else {
					refused++;
					// What was refused is said with a path, so that who wrote the image can find it.
					t.regex(message, /\/(dev|etc|sys|proc|tmp)/, `${place} → ${target}`);
				}
			}
		t.log(`${ran + refused} images: ${ran} ran, ${refused} refused`);
		t.is(await readFile(join(daemon.places.scratchDir, 'hosts'), 'utf8'), 'hosts of the pod\n');
		t.true(ran > 0 && refused > 0);
		await removePod(daemon.cri, pod);
	});
}

test.serial("a user whom only the node's passwd knows is nobody's, whatever /etc/passwd links to", async t => {
	const rig = running();
	const {daemon} = rig;
	const sentinel = await makeSentinel(join(daemon.places.scratchDir, 'sentinel-user'));
	for (const handler of ['', 'runc'] as const) {
		const pod = await runPodBy(daemon, handler, {name: `user-${nameOf(handler)}`, ...podWithPid(MODE.CONTAINER)});
		for (const [i, target] of [sentinel.file, `${UP}${sentinel.file.slice(1)}`, `/proc/self/root${sentinel.file}`, `/proc/1/root${sentinel.file}`].entries()) {
			const image = await pullHostile(rig, `user-${nameOf(handler)}-${i}`, [{type: 'symlink', path: 'etc/passwd', target}], {User: 'only-of-the-node'});
			const config = hostileConfig(`u${i}`, ['nothing'], {changes: {image: {image}}});
			await t.throwsAsync(createContainer(daemon.cri, pod, config), {message: /only-of-the-node|\/etc\/passwd/}, target);
			const named = hostileConfig(`n${i}`, ['escape-files', sentinel.marker], {
				securityContext: {...COVERED, run_as_user: {value: 4242}},
				changes: {image: {image}},
			});
			const id = await createContainer(daemon.cri, pod, named).catch(() => null);
			if (id === null) continue;
			await daemon.cri.call('StartContainer', {container_id: id});
			assertHeld(t, await waitForEnd(daemon, pod, {id, config: named}));
		}
		await removePod(daemon.cri, pod);
	}
});
