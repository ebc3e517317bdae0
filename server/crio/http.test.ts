import test from 'ava';
import {once} from 'node:events';
import {createServer} from 'node:net';
import {silentLog} from '../../base/log.js';
import {containerRecord, idOf, sandboxRecord} from '../../runtime/fake-records.js';
import {temporaryDirectory} from '../fake-daemon.js';
import {ask, hear, say, serveAsCrio} from './fake-node.js';
import {createInspectServer} from './http.js';
import type {ContainerInfo} from './inspect.js';

const attachment = {} as never;
const sandbox = {...sandboxRecord('web'), attachment, ips: ['10.0.0.7', 'fd00::7'], annotations: {a: 'pod'}, createdAtNs: 1_764_000_000_000_000_256n};
const running = {
	...containerRecord('main', sandbox),
	metadata: {name: 'main', attempt: 3},
	image: {asked: 'sha256:00', userSpecified: 'docker.io/library/busybox:1', id: 'sha256:00'},
	annotations: {'io.kubernetes.container.restartCount': '3'},
	labels: {'io.kubernetes.container.name': 'main', app: 'web'},
	logPath: '/var/log/pods/web/main/3.log',
	state: {phase: 'running', startedAtNs: 5n},
} as const;
const unfinished = {...containerRecord('unfinished', sandbox), state: {phase: 'creating'}, pid: 0} as const;
const onHost = sandboxRecord('host');
const RECORDS = [sandbox, running, unfinished, onHost];

const POD_LABELS = {'io.kubernetes.pod.name': 'web', 'io.kubernetes.pod.namespace': 'default', 'io.kubernetes.pod.uid': 'web-uid'};

test('GET /info says where the layers are and who makes cgroups', async t => {
	const {socketPath, rootDir} = await serveAsCrio(t);
	const {code, type, body} = await ask(socketPath, '/info');
	t.is(code, 200);
	t.is(type, 'application/json');
	const ids = [{container_id: 0, host_id: 0, size: 4_294_967_295}];
	t.deepEqual(JSON.parse(body), {
		storage_driver: 'overlay',
		storage_root: rootDir,
		storage_image: '',
		cgroup_driver: 'cgroupfs',
		default_id_mappings: {uids: ids, gids: ids},
	});
});

test('GET /containers/<id> has what cAdvisor labels and measures a container by', async t => {
	const {socketPath} = await serveAsCrio(t, RECORDS);
	const {code, body} = await ask(socketPath, `/containers/${running.id}`);
	t.is(code, 200);
	t.deepEqual(JSON.parse(body), {
		name: 'k8s_main_web_default_web-uid_3',
		pid: 4242,
		image: 'docker.io/library/busybox:1',
		image_ref: 'sha256:00',
		created_time: 2,
		labels: {...POD_LABELS, 'io.kubernetes.container.name': 'main', app: 'web'},
		annotations: {'io.kubernetes.container.restartCount': '3'},
		crio_annotations: {},
		log_path: '/var/log/pods/web/main/3.log',
		root: `/layers/${running.id}`,
		sandbox: sandbox.id,
		ip_addresses: ['10.0.0.7', 'fd00::7'],
		host_network: false,
	});
});

test('a pod is a container of the name POD, whose process is in its network namespace', async t => {
	const {socketPath, fake, rootDir} = await serveAsCrio(t, RECORDS);
	const asked = async (id: string): Promise<ContainerInfo> => JSON.parse((await ask(socketPath, `/containers/${id}`)).body) as ContainerInfo;
	t.like(await asked(sandbox.id), {pid: 0});
	fake.runtime.monitors.add({sandboxId: sandbox.id, pid: 77} as never);
	fake.runtime.monitors.add({sandboxId: onHost.id, pid: 78} as never);
	t.like(await asked(sandbox.id), {
		name: 'k8s_POD_web_default_web-uid_0',
		pid: 77,
		image: '',
		labels: {...POD_LABELS, 'io.kubernetes.container.name': 'POD', app: 'web'},
		annotations: {a: 'pod'},
		root: `${rootDir}/cri-o/pod`,
		created_time: 1_764_000_000_000_000_256,
		host_network: false,
	});
	// Its counters would be the node's.
	t.like(await asked(onHost.id), {pid: 0, host_network: true});
});

test('a container that is still being made is told of: cAdvisor asks as soon as its cgroup is there, and then not for a minute', async t => {
	const {socketPath} = await serveAsCrio(t, RECORDS);
	const {code, body} = await ask(socketPath, `/containers/${unfinished.id}`);
	t.is(code, 200);
	t.like(JSON.parse(body), {pid: 0, labels: POD_LABELS});
});

for (const [path, method, code, text] of [
	[`/containers/${idOf('unknown')}`, 'GET', 404, `can't find the container with id ${idOf('unknown')}\n`],
	['/containers/', 'GET', 404, 'berth serves /info and /containers/<id> of the interface of CRI-O\n'],
	[`/containers/${running.id.slice(0, 12)}`, 'GET', 404, `can't find the container with id ${running.id.slice(0, 12)}\n`],
	['/containers/..%2f..%2fetc', 'GET', 404, "can't find the container with id ..%2f..%2fetc\n"],
	['/config', 'GET', 404, 'berth serves /info and /containers/<id> of the interface of CRI-O\n'],
	[`/pause/${running.id}`, 'GET', 404, 'berth serves /info and /containers/<id> of the interface of CRI-O\n'],
	['/debug/heap', 'GET', 404, 'berth serves /info and /containers/<id> of the interface of CRI-O\n'],
	['/info', 'POST', 405, 'only GET is served\n'],
	['/info', 'HEAD', 200, ''],
	['/info?x=1', 'GET', 200, null],
] as const) {
	test(`${method} ${path.replace(/[\da-f]{64}/, '<id>')} is answered with ${code}`, async t => {
		const {socketPath} = await serveAsCrio(t, RECORDS);
		const answer = await ask(socketPath, path, method);
		t.is(answer.code, code);
		if (text !== null) t.is(answer.body, text);
	});
}

test('a request that does not end, and a client that says no more after one, are hung up on', async t => {
	const {socketPath: unused, fake} = await serveAsCrio(t);
	t.truthy(unused);
	const inspect = createInspectServer({...fake.runtime, images: {} as never}, silentLog, 100);
	const path = `${await temporaryDirectory(t)}/s.sock`;
	const server = createServer({allowHalfOpen: true}, socket => void inspect.emit('connection', socket)).listen(path);
	await once(server, 'listening');
	t.teardown(() => {
		server.close();
		inspect.close();
	});
	t.regex(await hear(await say(t, path, 'GET /info HTTP/1.1\r\nHost: a\r\nX: ')), /^HTTP\/1\.1 408 /);
	t.regex(await hear(await say(t, path, 'GET /info HTTP/1.1\r\nHost: a\r\n\r\n')), /^HTTP\/1\.1 200 /);
});
