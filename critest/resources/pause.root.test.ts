import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import {systemClock} from '../../base/clock.js';
import type {NamespaceMode} from '../../proto/cri.js';
import {PROJECT_DIR} from '../fixtures/images.js';
import {containerInfo} from '../rig/cgroup-files.js';
import {run, type Ended} from '../rig/command.js';
import {createContainer, pullBusybox, readMessages, removePod, runContainer, runPod, statusOf, toContainerConfig, until, type Pod} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
/** CRI v1: ContainerState. */
const RUNNING = 1;
const EXITED = 2;
const TICK = ['sh', '-c', 'trap "exit 9" TERM; i=0; while true; do i=$((i + 1)); echo $i; sleep 0.01; done'];
/** CRI v1: NamespaceMode. Each has its own way of being killed. */
const PID_MODES = {pod: 0, container: 1, node: 2} as const;

async function berth(...args: readonly string[]): Promise<Ended> {
	return await run([join(PROJECT_DIR, 'bin/berth'), ...args, '--socket', running().daemon.places.socket]);
}

async function ticking(
	t: ExecutionContext,
	pidMode: keyof typeof PID_MODES = 'pod',
): Promise<{readonly pod: Pod; readonly id: string; ticks(): Promise<number>}> {
	const {daemon} = running();
	await pullBusybox(daemon.cri);
	const options = {pid: PID_MODES[pidMode] as NamespaceMode};
	const pod = await runPod(daemon, `pause-${pidMode}`, {linux: {security_context: {namespace_options: options}}});
	t.teardown(() => removePod(daemon.cri, pod));
	const id = await runContainer(daemon.cri, pod, toContainerConfig('c', TICK, {linux: {security_context: {namespace_options: options}}}));
	const ticks = async (): Promise<number> => (await readMessages(join(pod.logDirectory, 'c.log'))).length;
	await until('it ticks', ticks, count => count > 3);
	return {pod, id, ticks};
}

async function assertStands(t: ExecutionContext, ticks: () => Promise<number>): Promise<void> {
	// What was written before may still be on its way to the log.
	await systemClock.sleep(100);
	const before = await ticks();
	await systemClock.sleep(300);
	t.is(await ticks(), before);
}

test.serial('berth pause stops a container where it is, berth unpause lets it go on; for the CRI it runs', async t => {
	const {cri} = running().daemon;
	const {id, ticks} = await ticking(t);
	t.like(await berth('pause', id.slice(0, 12)), {exitCode: 0, stdout: `${id}\n`});
	await assertStands(t, ticks);
	t.is((await statusOf(cri, id)).state, RUNNING);
	t.true((await containerInfo(cri, id)).paused);
	await assertRefused(t, status.FAILED_PRECONDITION, /is paused, must be running/, cri.call('ExecSync', {container_id: id, cmd: ['true']}));
	await assertRefused(t, status.FAILED_PRECONDITION, /is paused, must be running/, cri.call('Exec', {container_id: id, cmd: ['true'], stdout: true}));
	t.is((await berth('pause', id)).exitCode, 0);
	t.like(await berth('unpause', id), {exitCode: 0, stdout: `${id}\n`});
	const before = await ticks();
	await until('it ticks again', ticks, count => count > before);
	t.false((await containerInfo(cri, id)).paused);
	t.is((await cri.call('ExecSync', {container_id: id, cmd: ['true']})).exit_code, 0);
	t.is((await berth('unpause', id)).exitCode, 0);
});

for (const mode of ['pod', 'container', 'node'] as const) {
	test.serial(`a paused container in the PID namespace of its ${mode} is stopped, its signal first; killed; and removed`, async t => {
		const {cri} = running().daemon;
		const {pod, id} = await ticking(t, mode);
		await berth('pause', id);
		await cri.call('StopContainer', {container_id: id, timeout: '30'});
		t.like(await statusOf(cri, id), {state: EXITED, exit_code: 9});
		t.false((await containerInfo(cri, id)).paused);
		for (const [name, end] of [
			['killed', (container_id: string) => cri.call('StopContainer', {container_id, timeout: '0'})],
			['removed', (container_id: string) => cri.call('RemoveContainer', {container_id})],
		] as const) {
			const next = await runContainer(
				cri,
				pod,
				toContainerConfig(name, TICK, {linux: {security_context: {namespace_options: {pid: PID_MODES[mode] as NamespaceMode}}}}),
			);
			t.is((await berth('pause', next)).exitCode, 0);
			await end(next);
		}
		t.is((await cri.call('ListContainers', {filter: {state: {state: RUNNING}}})).containers.length, 0);
		const last = await runContainer(cri, pod, toContainerConfig('last', TICK));
		t.is((await berth('pause', last)).exitCode, 0);
	});
}

test.serial('a paused container stays so when the daemon dies, and goes on afterwards', async t => {
	const {daemon} = running();
	const {id, ticks} = await ticking(t);
	await berth('pause', id);
	await daemon.kill();
	await daemon.start();
	await assertStands(t, ticks);
	t.true((await containerInfo(daemon.cri, id)).paused);
	t.is((await berth('unpause', id)).exitCode, 0);
	const before = await ticks();
	await until('it ticks again', ticks, count => count > before);
});

test.serial('a pod is paused with all its running containers', async t => {
	const {cri} = running().daemon;
	const {pod, id, ticks} = await ticking(t);
	const second = await runContainer(cri, pod, toContainerConfig('d', ['sleep', '1000']));
	const created = await createContainer(cri, pod, toContainerConfig('e', ['sleep', '1000']));
	const {stdout} = await berth('pause', pod.id);
	t.deepEqual(stdout.trim().split('\n').toSorted(), [id, second].toSorted());
	await assertStands(t, ticks);
	t.deepEqual((await berth('unpause', pod.id)).stdout.trim().split('\n').toSorted(), [id, second].toSorted());
	const refused = await berth('pause', created);
	t.is(refused.exitCode, 1);
	t.regex(refused.stderr, /is created, must be running/);
	t.regex((await berth('pause', 'f'.repeat(64))).stderr, /pod sandbox "f+" not found/);
	t.regex((await berth('pause', '')).stderr, /id is empty/);
});
