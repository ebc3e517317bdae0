import {once} from 'node:events';
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {ClientReadableStream} from '@grpc/grpc-js';
import test from 'ava';
import type {ContainerEventResponse__Output} from '../proto/cri.js';
import type {CriClient} from './rig/cri-client.js';
import {openCriClient} from './rig/cri-client.js';
import {pullBusybox, removePod, runContainer, runPod, toContainerConfig, until} from './rig/pods.js';
import {useDaemon} from './rig/use-daemon.js';

const running = useDaemon(test);
const KINDS = ['created', 'started', 'stopped', 'deleted'] as const;
/** CRI v1: PodSandboxState, ContainerState. */
const POD_NOTREADY = 1;
const [RUNNING, EXITED] = [1, 2];

interface Heard {
	readonly events: ContainerEventResponse__Output[];
	readonly stream: ClientReadableStream<ContainerEventResponse__Output>;
	/** null: the daemon ended the stream in good order. */
	readonly ended: Promise<Error | null>;
}

/** A client that listens from now on. */
async function listen(cri: CriClient): Promise<Heard> {
	const stream = cri.stream('GetContainerEvents', {});
	const events: ContainerEventResponse__Output[] = [];
	const ended = new Promise<Error | null>(resolve => stream.on('error', resolve).on('end', () => resolve(null)));
	stream.on('data', (event: ContainerEventResponse__Output) => void events.push(event));
	await once(stream, 'metadata');
	return {events, stream, ended};
}

function namesOf({events}: Heard, names: ReadonlyMap<string, string>): readonly string[] {
	return events.map(({container_id: id, container_event_type: type}) => `${names.get(id) ?? id} ${KINDS[type]}`);
}

test.serial('every client hears the whole life of a pod, in order, with the statuses of the time', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const other = openCriClient(daemon.places.socket);
	t.teardown(() => other.close());
	const clients = [await listen(cri), await listen(other)];
	const pod = await runPod(daemon, 'lively');
	const id = await runContainer(cri, pod, toContainerConfig('main', ['sh', '-c', 'exit 5']));
	await until(
		'the exit is heard',
		async () => clients.map(({events}) => events.length),
		lengths => lengths.every(length => length >= 5),
	);
	await removePod(cri, pod);
	const names = new Map([
		[pod.id, 'pod'],
		[id, 'main'],
	]);
	const life = ['pod created', 'pod started', 'main created', 'main started', 'main stopped', 'pod stopped', 'main deleted', 'pod deleted'];
	for (const client of clients) {
		await until(
			'all is heard',
			async () => client.events.length,
			length => length >= life.length,
		);
		t.deepEqual(namesOf(client, names), life);
		const times = client.events.map(({created_at: at}) => BigInt(at));
		t.true(times.every((time, index) => index === 0 || time > (times[index - 1] ?? 0n)));
		t.true(client.events.every(({pod_sandbox_status: status}) => status?.metadata?.uid === pod.config.metadata?.uid));
		const [started, stopped, podStopped, removed] = [client.events[3], client.events[4], client.events[5], client.events[6]];
		t.like(started?.containers_statuses[0], {id, state: RUNNING});
		t.like(stopped?.containers_statuses[0], {id, state: EXITED, exit_code: 5, reason: 'Error'});
		t.true(BigInt(stopped?.created_at ?? 0) >= BigInt(stopped?.containers_statuses[0]?.finished_at ?? 0));
		t.is(podStopped?.pod_sandbox_status?.state, POD_NOTREADY);
		t.deepEqual(removed?.containers_statuses, []);
		client.stream.cancel();
	}
});

test.serial('what happened while the daemon was dead comes to every client that connects after its restart', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'unwatched');
	const gate = join(daemon.places.scratchDir, 'events-gate');
	await mkdir(gate, {recursive: true});
	const wait = 'while [ ! -e /gate/open ]; do usleep 20000; done; exit 37';
	const id = await runContainer(cri, pod, toContainerConfig('ender', ['sh', '-c', wait], {mounts: [{host_path: gate, container_path: '/gate'}]}));
	const before = await listen(cri);
	const pid = Number((await cri.call('ContainerStatus', {container_id: id, verbose: true})).info['pid']);
	await daemon.kill();
	t.not(await before.ended, null);
	await writeFile(join(gate, 'open'), '');
	await until(
		'the container has ended',
		async () => processRuns(pid),
		runs => !runs,
	);
	await daemon.start();
	const other = openCriClient(daemon.places.socket);
	t.teardown(() => other.close());
	for (const client of [await listen(cri), await listen(other)]) {
		const stopped = await until(
			'the exit is heard',
			async () => client.events.find(({container_id: of}) => of === id),
			event => event !== undefined,
		);
		t.is(KINDS[stopped!.container_event_type], 'stopped');
		t.like(stopped!.containers_statuses[0], {id, state: EXITED, exit_code: 37});
		client.stream.cancel();
	}
	await removePod(cri, pod);
});

test.serial('a daemon that ends in good order ends the streams in good order, and the pod goes on', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const client = await listen(cri);
	const pod = await runPod(daemon, 'kept');
	await daemon.stop();
	t.is(await client.ended, null);
	await daemon.start();
	await removePod(cri, pod);
	// Before them may be what happened at the end of another test, when nobody listened.
	t.deepEqual(namesOf(client, new Map([[pod.id, 'pod']])).slice(-2), ['pod created', 'pod started']);
});

test.serial('the streamed lists are the lists', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, 'listed');
	await runContainer(cri, pod, toContainerConfig('main', ['sleep', '600'], {stop_signal: 9}));
	const pods: unknown[] = [];
	for await (const {pod_sandboxes: some} of cri.stream('StreamPodSandboxes', {}) as AsyncIterable<{readonly pod_sandboxes: readonly unknown[]}>)
		pods.push(...some);
	const containers: unknown[] = [];
	for await (const {containers: some} of cri.stream('StreamContainers', {}) as AsyncIterable<{readonly containers: readonly unknown[]}>)
		containers.push(...some);
	t.is(pods.length, 1);
	t.deepEqual(pods, (await cri.call('ListPodSandbox', {})).items);
	t.is(containers.length, 1);
	t.deepEqual(containers, (await cri.call('ListContainers', {})).containers);
	await removePod(cri, pod);
});

async function processRuns(pid: number): Promise<boolean> {
	try {
		process.kill(pid, 0);
		return true;
	} catch {
		return false;
	}
}
