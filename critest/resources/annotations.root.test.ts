import {readdir, readFile, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import {containerCgroup, hasController, isPureV2, limitPath, PIDS_LIMIT, readLimit, type LimitFile} from '../rig/cgroup-files.js';
import {createContainer, pullBusybox, removePod, runContainer, runPod, statusOf, toContainerConfig, toPodConfig, until, type Pod} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {runOk} from '../rig/command.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
/** CRI v1: ContainerState. */
const EXITED = 2;
const SOFT_LIMIT: LimitFile = {v1: 'memory/memory.soft_limit_in_bytes', v2: 'memory.low'};
const THROTTLE: LimitFile = {v1: 'blkio/blkio.throttle.read_bps_device', v2: 'io.max'};

async function podWith(t: ExecutionContext, annotations: Readonly<Record<string, string>>): Promise<Pod> {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const pod = await runPod(daemon, 'annotated', {annotations});
	t.teardown(() => removePod(daemon.cri, pod));
	return pod;
}

/** "major:minor" of a block device of this machine; null: it has none. */
async function findBlockDevice(): Promise<string | null> {
	for (const name of await readdir('/sys/block')) if (!/^(loop|ram|zram)/.test(name)) return (await readFile(`/sys/block/${name}/dev`, 'utf8')).trim();
	return null;
}

async function exists(path: string): Promise<boolean> {
	return await stat(path).then(
		() => true,
		() => false,
	);
}

test.serial('a limit of processes holds: for all containers of a pod, for one by name, and by its own annotation', async t => {
	const {cri} = running().daemon;
	const pod = await podWith(t, {'berth.io/pids-limit': '20', 'berth.io/pids-limit.few': '10'});
	const limitOf = async (name: string, annotations: Readonly<Record<string, string>> = {}): Promise<string> =>
		readLimit(await containerCgroup(cri, await createContainer(cri, pod, toContainerConfig(name, ['true'], {annotations}))), PIDS_LIMIT);
	t.is(await limitOf('all'), '20');
	t.is(await limitOf('few'), '10');
	t.is(await limitOf('own', {'berth.io/pids-limit': 'max'}), 'max');
	// The shell cannot fork any more, and says so.
	const script = 'for i in $(seq 30); do sleep 1000 & done; echo all forked';
	const id = await runContainer(cri, pod, toContainerConfig('forks', ['sh', '-c', script]));
	const ended = await until(
		'the container ends',
		() => statusOf(cri, id),
		({state}) => state === EXITED,
	);
	t.not(ended.exit_code, 0);
});

test.serial("soft memory limits and a device's throttle are in the container's cgroup", async t => {
	const {cri} = running().daemon;
	const device = await findBlockDevice();
	const throttles = device === null ? {} : {'berth.io/blkio-throttle-read-bps-device': `${device} 1Mi`};
	const pod = await podWith(t, {'berth.io/memory-soft-limit': '64Mi', ...throttles});
	const cgroup = await containerCgroup(cri, await createContainer(cri, pod, toContainerConfig('c', ['true'])));
	t.is(await readLimit(cgroup, SOFT_LIMIT), String(64 * 1024 * 1024));
	if (device !== null) t.regex(await readLimit(cgroup, THROTTLE), new RegExp(`^${device} (1048576|rbps=1048576)`));
	const bad = createContainer(cri, pod, toContainerConfig('bad', ['true'], {annotations: {'berth.io/blkio-throttle-read-bps-device': '4000:1 5'}}));
	await assertRefused(t, status.INVALID_ARGUMENT, /blkio-throttle-.*no such block device/, bad);
});

test.serial('memory.high is set on v2 and refused on v1', async t => {
	const {cri} = running().daemon;
	const pod = await podWith(t, {'berth.io/memory-high': '64Mi'});
	const create = createContainer(cri, pod, toContainerConfig('c', ['true']));
	if (!(await isPureV2())) return await assertRefused(t, status.INVALID_ARGUMENT, /memory-high"\]: needs cgroup v2/, create);
	t.is(await readLimit(await containerCgroup(cri, await create), {v1: '', v2: 'memory.high'}), String(64 * 1024 * 1024));
});

test.serial('a weight of I/O is set where the kernel weighs, and refused where it does not', async t => {
	const {cri} = running().daemon;
	const pod = await podWith(t, {'berth.io/blkio-weight': '300'});
	const podCgroup = `${running().daemon.places.cgroupRoot}/pod-${pod.id}`;
	const directory = dirname(await limitPath(podCgroup, THROTTLE));
	const names = (await isPureV2()) ? ['io.bfq.weight', 'io.weight'] : ['blkio.weight', 'blkio.bfq.weight'];
	const there = await Promise.all(names.map(name => exists(join(directory, name))));
	const name = names[there.indexOf(true)];
	const create = createContainer(cri, pod, toContainerConfig('c', ['true']));
	if (name === undefined) return await assertRefused(t, status.INVALID_ARGUMENT, /blkio-weight"\]: .*neither the bfq scheduler nor iocost/, create);
	const cgroup = await containerCgroup(cri, await create);
	t.regex(await readLimit(cgroup, {v1: `blkio/${name}`, v2: name}), name === 'io.weight' ? /^default 2930$/m : /(^|default )300$/m);
});

test.serial('a network class sends packets through the class of that handle, also without the net_cls controller', async t => {
	const {cri, places} = running().daemon;
	const pod = await podWith(t, {'berth.io/network-class.classed': '10:2'});
	if (await hasController('net_cls')) {
		const cgroup = await containerCgroup(cri, await createContainer(cri, pod, toContainerConfig('classed', ['true'])));
		t.is(await readLimit(cgroup, {v1: 'net_cls/net_cls.classid', v2: ''}), String(0x100002));
		return;
	}
	const tc = (...args: readonly string[]): Promise<string> => runOk(['nsenter', `--net=${join(places.netnsDir, `berth-${pod.id}`)}`, 'tc', ...args]);
	await tc('qdisc', 'add', 'dev', 'lo', 'root', 'handle', '10:', 'htb', 'default', '1');
	for (const minor of ['1', '2']) await tc('class', 'add', 'dev', 'lo', 'parent', '10:', 'classid', `10:${minor}`, 'htb', 'rate', '1gbit');
	const packets = async (minor: string): Promise<number> =>
		Number(new RegExp(`class htb 10:${minor} [\\s\\S]*?Sent \\d+ bytes (\\d+) pkt`).exec(await tc('-s', 'class', 'show', 'dev', 'lo'))?.[1]);
	const talk = ['sh', '-c', 'nc -l -p 5555 >/dev/null & sleep 0.3; echo hello | nc -w 2 127.0.0.1 5555; exit 0'];
	const runToEnd = async (name: string): Promise<void> => {
		const id = await runContainer(cri, pod, toContainerConfig(name, talk));
		await until(
			'the container ends',
			() => statusOf(cri, id),
			({state}) => state === EXITED,
		);
	};
	await runToEnd('plain');
	t.true((await packets('1')) > 0);
	t.is(await packets('2'), 0);
	const before = await packets('1');
	await runToEnd('classed');
	t.true((await packets('2')) > 0);
	t.is(await packets('1'), before);
});

for (const [annotation, text, says] of [
	['berth.io/pids-limits', '5', /annotations\["berth\.io\/pids-limits"\]: "5" is an annotation that berth does not know/],
	['berth.io/pids-limit', 'many', /annotations\["berth\.io\/pids-limit"\]: "many" is no number from 1/],
	['berth.io/pids-limit.c', '0', /annotations\["berth\.io\/pids-limit\.c"\]: "0" is no number from 1/],
] as const) {
	test.serial(`the annotation ${annotation} with "${text}" is refused for a pod and for a container`, async t => {
		const {daemon} = running();
		const annotations = {[annotation]: text};
		const config = {...(await toPodConfig(daemon, 'bad', false)), annotations};
		await assertRefused(t, status.INVALID_ARGUMENT, says, daemon.cri.call('RunPodSandbox', {config}));
		if (annotation.endsWith('.c')) return;
		const pod = await podWith(t, {});
		await assertRefused(t, status.INVALID_ARGUMENT, says, createContainer(daemon.cri, pod, toContainerConfig('c', ['true'], {annotations})));
	});
}
