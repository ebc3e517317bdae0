import {once} from 'node:events';
import {createServer, type AddressInfo} from 'node:net';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import {WebSocket} from 'ws';
import type {NamespaceMode} from '../../proto/cri.js';
import {pullBusybox, removePod, runContainer, runPod, toContainerConfig, until} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
/** CRI v1: NamespaceMode. */
const NODE = 2 as NamespaceMode;
const ECHO = 'nc -lk -p 7777 -e cat';

/** What comes over the channels of a port-forward of `ports`, after `send` on the first. */
async function forward(podId: string, ports: readonly number[], send: string, subprotocol = 'v4.channel.k8s.io') {
	const {url} = await running().daemon.cri.call('PortForward', {pod_sandbox_id: podId, port: [...ports]});
	const socket = new WebSocket(url.replace(/^http/, 'ws'), [subprotocol]);
	const received = new Map<number, string>();
	socket.on(
		'message',
		(message: Buffer) => void received.set(message[0] ?? 255, (received.get(message[0] ?? 255) ?? '') + message.subarray(1).toString('latin1')),
	);
	await once(socket, 'open');
	socket.send(Buffer.concat([Buffer.from([0]), Buffer.from(send)]));
	return {socket, received};
}

function prefix(port: number): string {
	return Buffer.from([port & 0xff, port >> 8]).toString('latin1');
}

test.serial('PortForward reaches a port of the pod over WebSocket, and tells of one where nobody listens', async t => {
	const {cri} = running().daemon;
	await pullBusybox(cri);
	const pod = await runPod(running().daemon, 'forwarded');
	await runContainer(cri, pod, toContainerConfig('echo', ['sh', '-c', ECHO], {stop_signal: 9}));
	const answered = async (): Promise<string> => {
		const {socket, received} = await forward(pod.id, [7777, 7778], 'hello');
		await until(
			'both channels have said something',
			async () => (received.get(0) ?? '').length + (received.get(3) ?? '').length,
			length => length > 4 + 2,
		);
		const data = await until(
			'the first has answered, or failed',
			async () => [received.get(0) ?? '', received.get(1) ?? '', received.get(3) ?? ''],
			([data = '', failed = '', other = '']) => (data.endsWith('hello') || failed.length > 2) && other.length > 2,
		);
		socket.terminate();
		return data.join('|');
	};
	// The program may not listen yet.
	const said = await until('the program listens', answered, text => text.includes('hello'));
	t.true(said.startsWith(`${prefix(7777)}hello|${prefix(7777)}|${prefix(7778)}error forwarding port 7778 to pod ${pod.id}: `), said);
	t.regex(said, /ECONNREFUSED/);
	await removePod(cri, pod);
});

test.serial("PortForward of a pod on the host's network reaches the host's ports", async t => {
	const {cri} = running().daemon;
	const server = createServer(socket => void socket.end('the host'));
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => void server.close());
	const {port} = server.address() as AddressInfo;
	const pod = await runPod(running().daemon, 'on-host', {linux: {security_context: {namespace_options: {network: NODE}}}});
	const {received} = await forward(pod.id, [port], '');
	await until(
		'the host answers',
		async () => received.get(0) ?? '',
		text => text === `${prefix(port)}the host`,
	);
	await removePod(cri, pod);
	t.pass();
});

test.serial('a port that is none, a pod that is unknown or stopped: refused with the reason', async t => {
	const {cri} = running().daemon;
	const pod = await runPod(running().daemon, 'refused');
	for (const port of [0, -1, 65_536])
		await assertRefused(
			t,
			status.INVALID_ARGUMENT,
			new RegExp(`port must be 1 to 65535, is ${port}`),
			cri.call('PortForward', {pod_sandbox_id: pod.id, port: [80, port]}),
		);
	await assertRefused(t, status.INVALID_ARGUMENT, /pod_sandbox_id is empty/, cri.call('PortForward', {}));
	await assertRefused(t, status.NOT_FOUND, /pod sandbox "none" not found/, cri.call('PortForward', {pod_sandbox_id: 'none'}));
	const {socket} = await forward(pod.id, [80], '');
	await cri.call('StopPodSandbox', {pod_sandbox_id: pod.id});
	await assertRefused(t, status.FAILED_PRECONDITION, /notReady/, cri.call('PortForward', {pod_sandbox_id: pod.id, port: [80]}));
	socket.terminate();
	await removePod(cri, pod);
});
