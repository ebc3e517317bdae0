import {once} from 'node:events';
import {connect as connectSocket, createServer, type AddressInfo, type Socket} from 'node:net';
import {buffer} from 'node:stream/consumers';
import test, {type ExecutionContext} from 'ava';
import {silentLog} from '../../base/log.js';
import {connect, spdyHeaders, type FakeClient} from './fake-client.js';
import type {Dial} from './port-forward.js';
import {openStreamingServer} from './server.js';

const headers = {...spdyHeaders, 'X-Stream-Protocol-Version': ['portforward.k8s.io']};

/** A server in the pod: what it does with each connection is the test's. @returns its port. */
async function listen(t: ExecutionContext, serve: (socket: Socket) => void): Promise<number> {
	const server = createServer({allowHalfOpen: true}, socket => {
		socket.on('error', () => {});
		serve(socket);
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => void server.close());
	return (server.address() as AddressInfo).port;
}

const dialHere: Dial = async port => {
	const socket = connectSocket({port, host: '127.0.0.1', allowHalfOpen: true});
	await once(socket, 'connect');
	return socket;
};

async function clientOf(t: ExecutionContext, dial: Dial = dialHere, pairTimeoutMs = 20_000): Promise<FakeClient> {
	const limits = {maxStreams: 8, pingIntervalMs: 60_000, idleTimeoutMs: 60_000};
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog, {streamsTimeoutMs: pairTimeoutMs, limits});
	t.teardown(async () => await server.close());
	const {client, headers: answered} = await connect(server.portForwardUrl({sandboxId: 'pod1', ports: []}, dial), headers);
	t.is(answered['x-stream-protocol-version'], 'portforward.k8s.io');
	return client!;
}

async function openPair(client: FakeClient, port: number, requestID: string): Promise<{readonly error: number; readonly data: number}> {
	const error = await client.open({streamType: 'error', port: String(port), requestID});
	return {error, data: await client.open({streamType: 'data', port: String(port), requestID})};
}

test('a forwarded connection carries bytes both ways and ends each way by itself', async t => {
	const port = await listen(t, async socket => {
		// Answers only after the client has ended: a half-closed connection must go on.
		const request = await buffer(socket);
		socket.end(`heard ${request.toString()}`);
	});
	const client = await clientOf(t);
	const {error, data} = await openPair(client, port, '0');
	client.write(data, 'hel');
	client.write(data, 'lo', true);
	t.is(await client.text(data), 'heard hello');
	t.is(await client.text(error), '');
});

test('many connections at once over one client, each with its own bytes', async t => {
	const port = await listen(t, socket => void socket.pipe(socket));
	const client = await clientOf(t);
	const pairs = await Promise.all(Array.from({length: 40}, async (_, index) => ({index, ...(await openPair(client, port, String(index)))})));
	for (const {index, data} of pairs) client.write(data, `connection ${index}`, true);
	for (const {index, data, error} of pairs) {
		t.is(await client.text(data), `connection ${index}`);
		t.is(await client.text(error), '');
	}
});

test('a port where nobody listens is told on the error stream, and the client can go on', async t => {
	const port = await listen(t, socket => void socket.end('here'));
	const client = await clientOf(t, async wanted => {
		if (wanted !== port) throw new Error('connect to localhost :9: ECONNREFUSED');
		return await dialHere(wanted);
	});
	const refused = await openPair(client, 9, '0');
	t.is(await client.text(refused.error), 'error forwarding port 9 to pod pod1: connect to localhost :9: ECONNREFUSED');
	t.is(await client.text(refused.data), '');
	const good = await openPair(client, port, '1');
	t.is(await client.text(good.data), 'here');
});

test('a pod that resets the connection is told on the error stream', async t => {
	const port = await listen(t, socket => void socket.resetAndDestroy());
	const client = await clientOf(t);
	const {error, data} = await openPair(client, port, '0');
	client.write(data, 'x');
	t.regex(await client.text(error), /error forwarding port \d+ to pod pod1: .*ECONNRESET/);
});

test('streams without a pair, of another type or with a port that is none are refused', async t => {
	const client = await clientOf(t, dialHere, 200);
	for (const bad of [
		{streamType: 'stdin', port: '80'},
		{streamType: 'data', port: '0'},
		{streamType: 'error', port: '70000'},
		{streamType: 'data'},
		{streamType: 'data', port: '8x'},
	]) {
		client.frames.length = 0;
		const streamId = await client.open(bad as unknown as Record<string, string>);
		t.like(await client.until('rst-stream'), {streamId, status: 3});
	}
	client.frames.length = 0;
	const lonely = await client.open({streamType: 'error', port: '80', requestID: '7'});
	t.like(await client.until('rst-stream'), {streamId: lonely});
});

test('streams of a client that numbers no requests pair by their ids', async t => {
	const port = await listen(t, socket => void socket.end('old'));
	const client = await clientOf(t);
	await client.open({streamType: 'error', port: String(port)});
	t.is(await client.text(await client.open({streamType: 'data', port: String(port)})), 'old');
});

test('the connection to the pod ends when the client goes', async t => {
	const {promise: closed, resolve} = Promise.withResolvers<void>();
	const {promise: begun, resolve: begin} = Promise.withResolvers<void>();
	const port = await listen(t, socket => {
		socket.once('end', () => resolve());
		socket.once('data', () => begin());
	});
	const client = await clientOf(t);
	const {data} = await openPair(client, port, '0');
	client.write(data, 'x');
	await begun;
	client.socket.destroy();
	await t.notThrowsAsync(closed);
});

test('a pod that does not read holds its client back, and nobody else', async t => {
	const port = await listen(t, socket => void socket.pause());
	const other = await listen(t, socket => void socket.pipe(socket));
	const client = await clientOf(t);
	const {data} = await openPair(client, port, '0');
	const before = process.memoryUsage().arrayBuffers;
	const chunk = Buffer.alloc(1 << 20);
	let accepted = true;
	// Far more than sockets and streams buffer between client and pod.
	for (let i = 0; i < 64 && accepted; i++) accepted = client.write(data, chunk);
	t.false(accepted);
	t.true(process.memoryUsage().arrayBuffers - before < 48 << 20);
	const second = await clientOf(t);
	const pair = await openPair(second, other, '0');
	second.write(pair.data, 'free', true);
	t.is(await second.text(pair.data), 'free');
});

test('an exec token opens no port-forward, and the other way round; SPDY with another subprotocol is refused', async t => {
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog);
	t.teardown(async () => await server.close());
	const url = server.portForwardUrl({sandboxId: 'pod1', ports: []}, dialHere);
	t.is((await connect(url)).statusCode, 403);
	t.is((await connect(url.replace('/portforward/', '/exec/'))).statusCode, 404);
	t.is((await connect(url, headers)).statusCode, 404, 'it was presented once already');
});
