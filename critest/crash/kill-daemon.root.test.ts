import {join} from 'node:path';
import {readFile, writeFile} from 'node:fs/promises';
import test from 'ava';
import {systemClock} from '../../base/clock.js';
import {pullBusybox, readMessages, removePod, runContainer, runPod, statusOf, toContainerConfig, until} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
/** CRI v1: ContainerState, PodSandboxState. */
const RUNNING = 1;
const EXITED = 2;
const POD_READY = 0;

test.serial('kill -9 of the daemon: the pod runs on, no log line is lost or doubled, and an exit in between is known', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'survivor');
	const logFile = join(pod.logDirectory, 'logger.log');
	const count = 'i=0; while true; do i=$((i+1)); echo $i; usleep 2000; done';
	const logger = await runContainer(cri, pod, toContainerConfig('logger', ['sh', '-c', count], {stop_signal: 9}));
	// Ends only once it is told to: after the daemon is dead.
	const wait = 'while [ ! -e /gate/open ]; do usleep 20000; done; exit 37';
	const gate = join(daemon.places.scratchDir, 'gate');
	const mounts = [{host_path: gate, container_path: '/gate'}];
	const ender = await runContainer(cri, pod, toContainerConfig('ender', ['sh', '-c', wait], {mounts}));
	await until(
		'the logger logs',
		() => countLines(logFile),
		lines => lines > 50,
	);
	const pidBefore = (await cri.call('ContainerStatus', {container_id: logger, verbose: true})).info['pid'] ?? '';

	await daemon.kill();
	const linesAtDeath = await countLines(logFile);
	await writeFile(join(gate, 'open'), '');
	await until(
		'lines are logged while there is no daemon',
		() => countLines(logFile),
		lines => lines > linesAtDeath + 100,
	);
	const restartedAtNs = systemClock.nowNs();
	await daemon.start();

	const {status: podStatus} = await cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.is(podStatus?.state, POD_READY);
	t.is((await statusOf(cri, logger)).state, RUNNING);
	t.is((await cri.call('ContainerStatus', {container_id: logger, verbose: true})).info['pid'] ?? '', pidBefore);
	const ended = await until(
		'the other exit is known',
		() => statusOf(cri, ender),
		({state}) => state === EXITED,
	);
	t.is(ended.exit_code, 37);
	t.true(BigInt(ended.finished_at) < restartedAtNs, 'its time is that of the exit, not of the restart');
	const {stdout} = await cri.call('ExecSync', {container_id: logger, cmd: ['echo', 'still served']});
	t.is(Buffer.from(stdout).toString(), 'still served\n');
	await cri.call('StopContainer', {container_id: logger, timeout: 0});
	const numbers = (await readMessages(logFile)).map(Number);
	t.true(numbers.length > linesAtDeath + 100);
	t.deepEqual(
		numbers,
		Array.from({length: numbers.length}, (_, i) => i + 1),
	);
	await removePod(cri, pod);
});

test.serial('kill -9 three times in a row: the pod is still there and is removed whole', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'hardened');
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sleep', '1000']));
	for (let round = 0; round < 3; round++) {
		await daemon.kill();
		await daemon.start();
		t.is((await statusOf(cri, id)).state, RUNNING);
	}
	await removePod(cri, pod);
	t.deepEqual(await daemon.leaks(), []);
});

async function countLines(path: string): Promise<number> {
	try {
		return (await readFile(path, 'utf8')).split('\n').length - 1;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
		throw error;
	}
}
