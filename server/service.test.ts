import {credentials, status, type Client, type Server, type ServiceError} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import {UnavailableError} from '../base/errors.js';
import type {ImageStore} from '../image/image.js';
import {SignatureRefusedError} from '../image/policy/policy.js';
import {loadAdmin, loadCri} from '../proto/loader.js';
import {FAKE_IMAGE} from '../runtime/fake-parts.js';
import {containerRecord, sandboxRecord} from '../runtime/fake-records.js';
import {fakeRuntime} from '../runtime/fake-runtime.js';
import type {AnyRecord} from '../runtime/state/codec.js';
import {fakeDaemon, temporaryDirectory} from './fake-daemon.js';
import type {Call} from './call.js';
import {createGrpcServer} from './grpc-server.js';
import {fit} from './runtime-service/exec-sync.js';
import {nativeHandler} from '../runtime/handler/native-handler.js';
import {RuntimeHandlers} from '../runtime/handler/handlers.js';
import {handleStatus} from './runtime-service/status.js';
import {bindSocket} from './socket.js';

const cri = loadCri();
const sandbox = sandboxRecord('web');
const created = containerRecord('created', sandbox);
const running = {...containerRecord('running', sandbox), state: {phase: 'running', startedAtNs: 5n}} as const;

type Ask = (service: 'runtime' | 'image' | 'admin', method: string, request: object) => Promise<{readonly error: ServiceError | null; readonly reply: any}>;

/** The whole server over a fake runtime that has these records, and a client's calls to it. */
async function serveFake(
	t: ExecutionContext,
	records: readonly AnyRecord[] = [],
	images: Partial<ImageStore> = {},
): Promise<{readonly ask: Ask; readonly clients: Readonly<Record<string, Client>>; readonly fake: Awaited<ReturnType<typeof fakeRuntime>>}> {
	const fake = await fakeRuntime(records);
	const runtime = {...fake.runtime, images: {find: () => null, pullProgress: () => null, snapshotFeatures: () => [], ...images} as ImageStore};
	const server: Server = createGrpcServer(fakeDaemon({runtime}));
	const socket = `${await temporaryDirectory(t)}/s.sock`;
	await bindSocket(server, socket);
	const address = `unix:${socket}`;
	const clients: Record<string, Client> = {
		runtime: new cri.RuntimeService(address, credentials.createInsecure()),
		image: new cri.ImageService(address, credentials.createInsecure()),
		admin: new (loadAdmin().Admin)(address, credentials.createInsecure()),
	};
	t.teardown(async () => {
		for (const client of Object.values(clients)) client.close();
		server.forceShutdown();
		await fake.remove();
	});
	const ask: Ask = (service, method, request) =>
		new Promise(resolve => {
			const client = clients[service] as unknown as Record<string, (...args: unknown[]) => unknown>;
			client[method]?.call(client, request, {deadline: Date.now() + 5000}, (error: ServiceError | null, reply: unknown) => resolve({error, reply}));
		});
	return {ask, clients, fake};
}

test('every call of CRI 0.37 is registered: 37 and 6', t => {
	const server = createGrpcServer(fakeDaemon());
	const {handlers} = server as unknown as {readonly handlers: ReadonlyMap<string, unknown>};
	const methods = [cri.RuntimeService.service, cri.ImageService.service].map(service => Object.values(service).map(({path}) => path));
	t.deepEqual(
		methods.map(paths => paths.length),
		[37, 6],
	);
	for (const path of methods.flat()) t.true(handlers.has(path), path);
});

test('checkpoint and restore are refused in words that say so', async t => {
	const {ask} = await serveFake(t, [sandbox, running]);
	for (const [method, request] of [
		['CheckpointContainer', {container_id: running.id, location: '/tmp/c.tar'}],
		['CheckpointPod', {pod_sandbox_id: sandbox.id}],
		['RestorePod', {}],
	] as const) {
		const {error} = await ask('runtime', method, request);
		t.like(error, {code: status.UNIMPLEMENTED, details: `${method}: berth does not checkpoint or restore containers; nothing was changed`});
	}
});

test('StreamImages sends every image once, in messages that are not empty', async t => {
	const all = Array.from({length: 250}, (_, index) => ({...FAKE_IMAGE, id: `sha256:${String(index).padStart(64, '0')}`}));
	const stream = async (request: object): Promise<readonly (readonly {readonly id: string}[])[]> => {
		const {clients} = await serveFake(t, [], {list: () => all, find: text => all.find(({id}) => id === text) ?? null});
		const client = clients['image'] as unknown as {
			StreamImages(request: object, options: object): AsyncIterable<{readonly images: readonly {readonly id: string}[]}>;
		};
		const messages: (readonly {readonly id: string}[])[] = [];
		for await (const {images} of client.StreamImages(request, {deadline: Date.now() + 20_000})) messages.push(images);
		return messages;
	};
	const messages = await stream({});
	t.true(messages.length > 1 && messages.every(({length}) => length > 0));
	t.deepEqual(
		messages.flat().map(({id}) => id),
		all.map(({id}) => id),
	);
	t.deepEqual(
		(await stream({filter: {image: {image: all[7]?.id}}})).map(images => images.map(({id}) => id)),
		[[all[7]?.id]],
	);
	t.deepEqual(await stream({filter: {image: {image: 'none'}}}), []);
});

test('Version has all four fields', async t => {
	const {ask} = await serveFake(t);
	const {reply} = await ask('runtime', 'Version', {});
	t.deepEqual(reply, {version: '0.1.0', runtime_name: 'berth', runtime_version: '0.0.0', runtime_api_version: 'v1'});
});

test('Status tells why the network is not ready, has a handler "" and the config when verbose', async t => {
	const {ask, fake} = await serveFake(t);
	fake.cni.ready = false;
	const {reply} = await ask('runtime', 'Status', {verbose: true});
	t.like(reply.status.conditions[0], {type: 'RuntimeReady', status: true});
	t.like(reply.status.conditions[1], {type: 'NetworkReady', status: false, message: 'no network config in /conf'});
	t.is(reply.runtime_handlers[0].name, '');
	t.true(reply.features.supplemental_groups_policy);
	t.is(JSON.parse(reply.info.config).stateDir, fake.runtime.options.runDir);
	t.deepEqual((await ask('runtime', 'Status', {})).reply.info, {});
});

test('Status announces user namespaces exactly where the trial at start made one, and says why not', async t => {
	for (const userNamespaces of [
		{supported: true, reason: 'layers and volumes are id-mapped'},
		{supported: false, reason: 'id-map layer /var/lib/berth/probe/lower: EINVAL: invalid argument'},
	]) {
		const {fake} = await serveFake(t);
		const images = {snapshotFeatures: () => []} as unknown as ImageStore;
		const handlers = new RuntimeHandlers(fake.launcher, [nativeHandler('', fake.launcher, userNamespaces)]);
		const reply = await handleStatus(fakeDaemon({runtime: {...fake.runtime, images, userNamespaces, handlers}}) as Call, {verbose: true});
		t.is(reply.runtime_handlers?.[0]?.features?.user_namespaces, userNamespaces.supported);
		t.is(reply.features?.user_namespaces_host_network, userNamespaces.supported);
		t.deepEqual(JSON.parse(reply.info?.['snapshotter'] ?? '').features, [
			{name: 'id-mapped layers', used: userNamespaces.supported, reason: userNamespaces.reason},
		]);
	}
});

test('Status lists the handlers that can be used with their features, and says of the others why not', async t => {
	const {fake} = await serveFake(t);
	const features = {recursiveReadOnlyMounts: true, userNamespaces: false};
	const native = nativeHandler('', fake.launcher, fake.runtime.userNamespaces);
	const good = {...native, name: 'good', features};
	const broken = {...native, name: 'broken', features, problem: '/usr/bin/none: ENOENT'};
	const images = {snapshotFeatures: () => []} as unknown as ImageStore;
	const statusOf = async (handlers: RuntimeHandlers) => await handleStatus(fakeDaemon({runtime: {...fake.runtime, images, handlers}}) as Call, {verbose: true});
	const reply = await statusOf(new RuntimeHandlers(fake.launcher, [native, good, broken]));
	t.deepEqual(reply.runtime_handlers, [
		{name: '', features: {recursive_read_only_mounts: true, user_namespaces: true}},
		{name: 'good', features: {recursive_read_only_mounts: true, user_namespaces: false}},
	]);
	t.deepEqual(reply.status?.conditions?.[2], {
		type: 'RuntimeHandlersReady',
		status: false,
		reason: 'RuntimeHandlerUnusable',
		message: '"broken": /usr/bin/none: ENOENT',
	});
	t.like(JSON.parse(reply.info?.['handlers'] ?? '')[2], {name: 'broken', usable: false, problem: '/usr/bin/none: ENOENT'});
	t.like((await statusOf(new RuntimeHandlers(fake.launcher, [native, good]))).status?.conditions?.[2], {status: true, message: ''});
});

test('RuntimeConfig says CGROUPFS', async t => {
	const {ask} = await serveFake(t);
	t.is((await ask('runtime', 'RuntimeConfig', {})).reply.linux.cgroup_driver, 1);
});

for (const [method, field] of [
	['StopPodSandbox', 'pod_sandbox_id'],
	['RemovePodSandbox', 'pod_sandbox_id'],
	['StopContainer', 'container_id'],
	['RemoveContainer', 'container_id'],
] as const) {
	test(`${method} of an unknown id succeeds, of an empty one names the field`, async t => {
		const {ask} = await serveFake(t);
		t.is((await ask('runtime', method, {[field]: 'f00d'})).error, null);
		t.like((await ask('runtime', method, {[field]: ''})).error, {code: status.INVALID_ARGUMENT, details: `${field} is empty`});
	});
}

for (const [method, request, details] of [
	['RunPodSandbox', {}, 'config is missing'],
	['RunPodSandbox', {config: {}}, 'config.metadata is missing'],
	['CreateContainer', {pod_sandbox_id: 'x'}, 'config is missing'],
	['CreateContainer', {pod_sandbox_id: 'x', config: {}}, 'config.metadata is missing'],
	['StopContainer', {container_id: 'c', timeout: -1}, 'timeout must be 0 or more seconds, is -1'],
	['ExecSync', {container_id: 'c', timeout: -2}, 'timeout must be 0 or more seconds, is -2'],
	['Exec', {container_id: 'c', cmd: ['a']}, 'one of stdin, stdout and stderr must be set'],
	['Exec', {container_id: 'c', cmd: ['a'], tty: true, stderr: true, stdout: true}, 'stderr must be false when tty is true: a terminal has one output'],
] as const) {
	test(`${method} refuses ${JSON.stringify(request)}`, async t => {
		const {ask} = await serveFake(t);
		t.like((await ask('runtime', method, request)).error, {code: status.INVALID_ARGUMENT, details});
	});
}

for (const [method, field, kind] of [
	['PodSandboxStatus', 'pod_sandbox_id', 'pod sandbox'],
	['ContainerStatus', 'container_id', 'container'],
	['StartContainer', 'container_id', 'container'],
	['ExecSync', 'container_id', 'container'],
	['ContainerStats', 'container_id', 'container'],
	['ReopenContainerLog', 'container_id', 'container'],
] as const) {
	test(`${method} of an unknown id is NOT_FOUND`, async t => {
		const {ask} = await serveFake(t);
		t.like((await ask('runtime', method, {[field]: 'f00d'})).error, {code: status.NOT_FOUND, details: `${kind} "f00d" not found`});
	});
}

test('what is being created is neither listed nor found', async t => {
	const {ask} = await serveFake(t, [
		{...sandbox, state: {phase: 'creating'}},
		{...created, state: {phase: 'creating'}},
	]);
	t.deepEqual((await ask('runtime', 'ListPodSandbox', {})).reply.items, []);
	t.deepEqual((await ask('runtime', 'ListContainers', {})).reply.containers, []);
	t.is((await ask('runtime', 'PodSandboxStatus', {pod_sandbox_id: sandbox.id})).error?.code, status.NOT_FOUND);
	t.is((await ask('runtime', 'ContainerStatus', {container_id: created.id})).error?.code, status.NOT_FOUND);
});

test('lists go by state, sandbox, label and id; status by id prefix', async t => {
	const {ask} = await serveFake(t, [sandbox, created, running]);
	const listed = async (filter: object) => (await ask('runtime', 'ListContainers', {filter})).reply.containers.map(({id}: {readonly id: string}) => id);
	t.deepEqual(await listed({}), [created.id, running.id]);
	t.deepEqual(await listed({state: {state: 1}}), [running.id]);
	t.deepEqual(await listed({label_selector: {container: 'created'}}), [created.id]);
	t.deepEqual(await listed({pod_sandbox_id: 'ffff'}), []);
	t.deepEqual(await listed({state: {state: 3}}), []);
	t.like((await ask('runtime', 'ListPodSandbox', {filter: {state: {state: 0}}})).reply.items[0], {
		id: sandbox.id,
		labels: {app: 'web'},
		metadata: {name: 'web'},
	});
	const {reply} = await ask('runtime', 'ContainerStatus', {container_id: running.id.slice(0, 12), verbose: true});
	t.like(reply.status, {id: running.id, started_at: '5'});
	t.is(JSON.parse(reply.info.info).pid, running.pid);
});

test('StartContainer of a running container is FAILED_PRECONDITION', async t => {
	const {ask} = await serveFake(t, [sandbox, running]);
	t.like((await ask('runtime', 'StartContainer', {container_id: running.id})).error, {
		code: status.FAILED_PRECONDITION,
		details: `container "${running.id}" is running, must be created`,
	});
});

test('Exec of a running container answers the URL of the streaming server, of another FAILED_PRECONDITION', async t => {
	const {ask} = await serveFake(t, [sandbox, created, running]);
	t.is((await ask('runtime', 'Exec', {container_id: running.id, cmd: ['sh'], stdout: true})).reply.url, 'http://127.0.0.1:1/exec/t');
	t.is((await ask('runtime', 'Exec', {container_id: created.id, cmd: ['sh'], stdout: true})).error?.code, status.FAILED_PRECONDITION);
});

test('images: absent is an empty reply; id, tags and size of one; ListImages filters', async t => {
	const find = (reference: string) => (reference === 'busybox' ? FAKE_IMAGE : null);
	const {ask} = await serveFake(t, [], {find, list: () => [FAKE_IMAGE]});
	t.is((await ask('image', 'ImageStatus', {image: {image: 'nginx'}})).reply.image, null);
	const {reply} = await ask('image', 'ImageStatus', {image: {image: 'busybox'}, verbose: true});
	t.like(reply.image, {id: FAKE_IMAGE.id, repo_tags: ['docker.io/library/busybox:latest'], size: '1000'});
	t.deepEqual(JSON.parse(reply.info.info).imageSpec, {});
	t.is((await ask('image', 'ListImages', {})).reply.images.length, 1);
	t.is((await ask('image', 'ListImages', {filter: {image: {image: 'nginx'}}})).reply.images.length, 0);
	t.like((await ask('image', 'ImageStatus', {})).error, {code: status.INVALID_ARGUMENT, details: 'image is missing'});
	t.like((await ask('image', 'PullImage', {image: {image: ''}})).error, {code: status.INVALID_ARGUMENT, details: 'image.image is empty'});
});

test('PullImage answers the id; credentials only when there are any; a registry out of reach and a refused signature begin with the word the kubelet knows', async t => {
	const asked: unknown[] = [];
	const pull: ImageStore['pull'] = async (reference, auth) => {
		asked.push([reference, auth]);
		if (reference === 'down') throw new UnavailableError('connect ECONNREFUSED');
		if (reference === 'unsigned') throw new SignatureRefusedError('no signature');
		return FAKE_IMAGE;
	};
	const {ask} = await serveFake(t, [], {pull});
	t.is((await ask('image', 'PullImage', {image: {image: 'busybox'}, auth: {}})).reply.image_ref, FAKE_IMAGE.id);
	await ask('image', 'PullImage', {image: {image: 'busybox'}, auth: {username: 'u', password: 'p'}});
	t.deepEqual(asked, [
		['busybox', null],
		['busybox', {username: 'u', password: 'p', auth: '', serverAddress: '', identityToken: '', registryToken: ''}],
	]);
	t.like((await ask('image', 'PullImage', {image: {image: 'down'}})).error, {code: status.UNKNOWN, details: 'RegistryUnavailable: connect ECONNREFUSED'});
	t.like((await ask('image', 'PullImage', {image: {image: 'unsigned'}})).error, {code: status.UNKNOWN, details: 'SignatureValidationFailed: no signature'});
});

test('ImageFsInfo has both filesystems with a time', async t => {
	const {ask} = await serveFake(t, [], {
		fsInfo: () => ({imageFs: {mountpoint: '/i', bytes: 5, inodes: 6}, containerFs: {mountpoint: '/c', bytes: 7, inodes: 8}}),
	});
	const {reply} = await ask('image', 'ImageFsInfo', {});
	t.like(reply.image_filesystems[0], {fs_id: {mountpoint: '/i'}, used_bytes: {value: '5'}, inodes_used: {value: '6'}});
	t.like(reply.container_filesystems[0], {fs_id: {mountpoint: '/c'}, used_bytes: {value: '7'}});
	t.true(BigInt(reply.image_filesystems[0].timestamp) > 0n);
});

test('LoadImage wants an absolute path and answers ids and tags', async t => {
	const {ask} = await serveFake(t, [], {load: async () => [FAKE_IMAGE]});
	t.deepEqual((await ask('admin', 'LoadImage', {path: '/image.tar'})).reply.images, [{id: FAKE_IMAGE.id, repo_tags: [...FAKE_IMAGE.repoTags]}]);
	t.like((await ask('admin', 'LoadImage', {path: 'image.tar'})).error, {code: status.INVALID_ARGUMENT, details: 'path must be absolute, is "image.tar"'});
});

test('a reply to ExecSync fits one message, whatever was written where', t => {
	const lengths = (stdout: number, stderr: number) => fit(new Uint8Array(stdout), new Uint8Array(stderr), 100).map(bytes => bytes.length);
	t.deepEqual(lengths(40, 60), [40, 60]);
	t.deepEqual(lengths(200, 0), [100, 0]);
	t.deepEqual(lengths(0, 200), [0, 100]);
	t.deepEqual(lengths(200, 200), [50, 50]);
	t.deepEqual(lengths(10, 200), [10, 90]);
	t.deepEqual(lengths(200, 10), [90, 10]);
});

test('thousands of calls cancelled at once do not end the others on the connection', async t => {
	const server = createGrpcServer(fakeDaemon());
	const socket = `${await temporaryDirectory(t)}/s.sock`;
	await bindSocket(server, socket);
	const client = new cri.RuntimeService(`unix:${socket}`, credentials.createInsecure());
	t.teardown(() => {
		client.close();
		server.forceShutdown();
	});
	const version = (cancel: boolean) =>
		new Promise<number>(resolve => {
			const call = client.Version({}, {deadline: Date.now() + 10_000}, error => resolve(error?.code ?? status.OK));
			if (cancel) setImmediate(() => call.cancel());
		});
	for (let round = 0; round < 3; round++) {
		const cancelled = Array.from({length: 1000}, () => version(true));
		t.is(await version(false), status.OK);
		await Promise.all(cancelled);
	}
});
