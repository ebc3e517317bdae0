import {credentials, status, type ClientReadableStream, type ServiceError} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import {once} from 'node:events';
import {connect as connectHttp2, type ClientHttp2Stream} from 'node:http2';
import {connect as connectSocket} from 'node:net';
import {systemClock} from '../../base/clock.js';
import {loadCri} from '../../proto/loader.js';
import type {ContainerEventResponse__Output, StreamContainersResponse__Output, StreamPodSandboxesResponse__Output} from '../../proto/cri.js';
import {containerRecord, sandboxRecord} from '../../runtime/fake-records.js';
import {fakeRuntime} from '../../runtime/fake-runtime.js';
import type {ImageStore} from '../../image/image.js';
import type {AnyRecord} from '../../runtime/state/codec.js';
import {fakeDaemon, temporaryDirectory} from '../fake-daemon.js';
import {createGrpcServer} from '../grpc-server.js';
import {bindSocket} from '../socket.js';

const sandbox = sandboxRecord('web');
const running = {...containerRecord('running', sandbox), state: {phase: 'running', startedAtNs: 5n}} as const;

interface Streams {
	GetContainerEvents(request: object): ClientReadableStream<ContainerEventResponse__Output>;
	StreamPodSandboxes(request: object): ClientReadableStream<StreamPodSandboxesResponse__Output>;
	StreamContainers(request: object): ClientReadableStream<StreamContainersResponse__Output>;
}

async function serveFake(t: ExecutionContext, records: readonly AnyRecord[]) {
	const fake = await fakeRuntime(records);
	const runtime = {...fake.runtime, images: {find: () => null} as unknown as ImageStore};
	const server = createGrpcServer(fakeDaemon({runtime}));
	const socket = `${await temporaryDirectory(t)}/s.sock`;
	await bindSocket(server, socket);
	const {RuntimeService} = loadCri();
	const client = new RuntimeService(`unix:${socket}`, credentials.createInsecure());
	t.teardown(async () => {
		client.close();
		server.forceShutdown();
		await fake.remove();
	});
	return {runtime, client: client as unknown as Streams, socket};
}

async function listen(client: Streams) {
	const stream = client.GetContainerEvents({});
	const ended = new Promise<ServiceError | null>(resolve => stream.on('error', resolve).on('end', () => resolve(null)));
	await once(stream, 'metadata');
	return {stream, ended};
}

/** A client that asks for events and reads none. Not grpc-js, which reads ahead. */
async function listenDeaf(t: ExecutionContext, socket: string): Promise<ClientHttp2Stream> {
	const session = connectHttp2('http://localhost', {createConnection: () => connectSocket(socket)});
	t.teardown(() => session.destroy());
	const request = session.request({
		':method': 'POST',
		':path': '/runtime.v1.RuntimeService/GetContainerEvents',
		'content-type': 'application/grpc',
		te: 'trailers',
	});
	request.end(Buffer.alloc(5));
	await once(request, 'response');
	return request.pause();
}

test('an event has its type, its time, and the statuses of the pod and of its containers', async t => {
	const {runtime, client} = await serveFake(t, [sandbox, running]);
	const {stream} = await listen(client);
	runtime.events.publish({containerId: running.id, sandboxId: sandbox.id, kind: 'started'});
	runtime.events.publish({containerId: sandbox.id, sandboxId: sandbox.id, kind: 'deleted', removed: sandbox});
	const received: ContainerEventResponse__Output[] = [];
	for await (const event of stream) if (received.push(event as ContainerEventResponse__Output) === 2) break;
	t.like(received[0], {container_id: running.id, container_event_type: 1, pod_sandbox_status: {id: sandbox.id}});
	t.is(received[0]!.pod_sandbox_status?.metadata?.uid, sandbox.metadata.uid);
	t.deepEqual(
		received[0]!.containers_statuses.map(({id, state}) => [id, state]),
		[[running.id, 1]],
	);
	t.like(received[1], {container_id: sandbox.id, container_event_type: 3, pod_sandbox_status: {id: sandbox.id}});
	t.true(BigInt(received[1]!.created_at) > BigInt(received[0]!.created_at));
	t.true(BigInt(received[0]!.created_at) > 1_000_000_000_000_000_000n);
});

test('a client that does not read costs a bounded part of the memory and loses its stream; one that reads gets all of eight thousand', async t => {
	const {runtime, client, socket} = await serveFake(t, [sandbox, running]);
	const slow = await listenDeaf(t, socket);
	const quick = await listen(client);
	const heard: string[] = [];
	quick.stream.on('data', ({created_at: at}: ContainerEventResponse__Output) => void heard.push(at));
	const before = process.memoryUsage().heapUsed;
	for (let number = 0; number < 8000; number++) {
		runtime.events.publish({containerId: running.id, sandboxId: sandbox.id, kind: 'stopped'});
		// As quickly as the quick one reads.
		if (number % 200 === 0) while (heard.length < number - 1000) await systemClock.sleep(1);
	}
	while (heard.length < 8000) await systemClock.sleep(5);
	t.true(process.memoryUsage().heapUsed - before < 100 * 1024 * 1024);
	const trailers = once(slow, 'trailers') as Promise<[Readonly<Record<string, string>>]>;
	slow.resume();
	t.is((await trailers)[0]['grpc-status'], String(status.RESOURCE_EXHAUSTED));
	quick.stream.cancel();
	t.is((await quick.ended)?.code, status.CANCELLED);
});

test('the streams end without an error when the daemon ends, after what was published', async t => {
	const {runtime, client} = await serveFake(t, [sandbox]);
	const {stream, ended} = await listen(client);
	const ids: string[] = [];
	stream.on('data', ({container_id: id}: ContainerEventResponse__Output) => void ids.push(id));
	runtime.events.publish({containerId: 'last', sandboxId: sandbox.id, kind: 'stopped'});
	runtime.events.close();
	t.is(await ended, null);
	t.deepEqual(ids, ['last']);
});

test('StreamPodSandboxes and StreamContainers send what the lists answer, in messages that are not empty, and filtered as they are', async t => {
	const sandboxes = Array.from({length: 130}, (_, index) => sandboxRecord(`pod${index}`));
	const containers = sandboxes.map(pod => containerRecord(`main of ${pod.id}`, pod));
	const {client} = await serveFake(t, [...sandboxes, ...containers]);
	const pods = async (request: object): Promise<readonly (readonly string[])[]> => {
		const messages: (readonly string[])[] = [];
		for await (const message of client.StreamPodSandboxes(request))
			messages.push((message as StreamPodSandboxesResponse__Output).pod_sandboxes.map(({id}) => id));
		return messages;
	};
	const members = async (request: object): Promise<readonly (readonly string[])[]> => {
		const messages: (readonly string[])[] = [];
		for await (const message of client.StreamContainers(request)) messages.push((message as StreamContainersResponse__Output).containers.map(({id}) => id));
		return messages;
	};
	const [all, allMembers] = [await pods({}), await members({})];
	t.true(all.length > 1 && all.every(({length}) => length > 0));
	t.true(allMembers.length > 1 && allMembers.every(({length}) => length > 0));
	t.deepEqual(
		all.flat(),
		sandboxes.map(({id}) => id),
	);
	t.deepEqual(
		allMembers.flat(),
		containers.map(({id}) => id),
	);
	t.deepEqual(await pods({filter: {id: sandboxes[7]!.id}}), [[sandboxes[7]!.id]]);
	t.deepEqual(await members({filter: {pod_sandbox_id: sandboxes[7]!.id}}), [[containers[7]!.id]]);
	t.deepEqual(await pods({filter: {id: 'none'}}), []);
	t.deepEqual(await members({filter: {id: 'none'}}), []);
});
