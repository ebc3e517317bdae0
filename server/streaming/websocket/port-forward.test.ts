import test, {type ExecutionContext} from 'ava';
import {once} from 'node:events';
import {connect as connectSocket, createServer, type AddressInfo, type Socket} from 'node:net';
import {buffer} from 'node:stream/consumers';
import {silentLog} from '../../../base/log.js';
import {FakeClient} from '../fake-client.js';
import type {Dial} from '../port-forward.js';
import {openStreamingServer} from '../server.js';
import {connectWebSocket, Opcode, tunnelOf, type FakeWebSocket} from './fake-client.js';

const V4 = 'v4.channel.k8s.io';
const TUNNEL = 'SPDY/3.1+portforward.k8s.io';

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

async function urlFor(t: ExecutionContext, ports: readonly number[], dial: Dial = dialHere): Promise<string> {
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog);
	t.teardown(async () => await server.close());
	return server.portForwardUrl({sandboxId: 'pod1', ports}, dial);
}

async function clientOf(t: ExecutionContext, ports: readonly number[], subprotocols = V4): Promise<FakeWebSocket> {
	const {client, statusCode, body} = await connectWebSocket(await urlFor(t, ports), subprotocols);
	t.is(statusCode, 101, body);
	return client!;
}

/** The two bytes that begin each channel. */
function prefix(port: number): string {
	return Buffer.from([port & 0xff, port >> 8]).toString('latin1');
}

for (const subprotocols of [V4, '']) {
	test(`a pair of channels per port, each beginning with the port${subprotocols === '' ? ', also when the client names no subprotocol' : ''}`, async t => {
		const greeter = await listen(t, socket => void socket.write('hi '));
		const echo = await listen(t, socket => void socket.pipe(socket));
		const client = await clientOf(t, [greeter, echo], subprotocols);
		client.write(2, 'there');
		await client.until(() => client.text(0).endsWith('hi ') && client.text(2).endsWith('there'));
		t.is(client.text(0), `${prefix(greeter)}hi `);
		t.is(client.text(1), prefix(greeter));
		t.is(client.text(2), `${prefix(echo)}there`);
		t.is(client.text(3), prefix(echo));
		client.socket.destroy();
	});
}

test('base64: text messages both ways', async t => {
	const echo = await listen(t, socket => void socket.pipe(socket));
	const client = await clientOf(t, [echo], 'v4.base64.channel.k8s.io');
	client.send({opcode: Opcode.TEXT, data: Buffer.from(`0${Buffer.from('hello').toString('base64')}`)});
	const data = (): string =>
		client.messages
			.filter(message => message[0] === 0x30)
			.map(message => Buffer.from(message.toString().slice(1), 'base64').toString('latin1'))
			.join('');
	await client.until(() => data().endsWith('hello'));
	t.is(data(), `${prefix(echo)}hello`);
	t.true(client.texts.every(text => text));
	client.socket.destroy();
});

test('the session ends when every connection has ended, and not before', async t => {
	const brief = await listen(t, socket => void socket.end('bye'));
	const echo = await listen(t, socket => {
		socket.pipe(socket, {end: false});
		socket.on('data', (chunk: Buffer) => void (chunk.includes('quit') && socket.end()));
	});
	const client = await clientOf(t, [brief, echo]);
	await client.until(() => client.text(0).endsWith('bye'));
	client.write(2, 'still');
	await client.until(() => client.text(2).endsWith('still'));
	t.is(client.close, null);
	client.write(2, 'quit');
	await client.closed;
	t.like(client.close, {code: 1000});
});

test('a port where nobody listens is told on its error channel', async t => {
	const url = await urlFor(t, [9], async () => {
		throw new Error('connect to localhost :9: ECONNREFUSED');
	});
	const {client} = await connectWebSocket(url, V4);
	await client!.closed;
	t.is(client!.text(1), `${prefix(9)}error forwarding port 9 to pod pod1: connect to localhost :9: ECONNREFUSED`);
	t.is(client!.text(0), prefix(9));
});

test('the connection to the pod ends when the client goes', async t => {
	const {promise: closed, resolve} = Promise.withResolvers<void>();
	const port = await listen(t, socket => {
		socket.resume();
		socket.once('end', () => resolve());
		socket.write('x');
	});
	const client = await clientOf(t, [port]);
	await client.until(() => client.text(0).endsWith('x'));
	client.send({opcode: Opcode.CLOSE, data: Buffer.from([3, 232])});
	await t.notThrowsAsync(closed);
});

test('a request that names no port, or too many, is refused for these protocols, and says so', async t => {
	const none = await connectWebSocket(await urlFor(t, []), V4);
	t.like(none, {statusCode: 400});
	t.regex(none.body, /PortForward must name 1 to 32 ports for this protocol, it named 0/);
	const many = await connectWebSocket(
		await urlFor(
			t,
			Array.from({length: 33}, (_, index) => index + 1),
		),
		V4,
	);
	t.like(many, {statusCode: 400});
	const unknown = await connectWebSocket(await urlFor(t, [80]), 'v5.channel.k8s.io');
	t.like(unknown, {statusCode: 403});
	t.regex(unknown.body, /known are SPDY\/3\.1\+portforward\.k8s\.io, v4\.channel\.k8s\.io/);
});

test('SPDY in WebSocket messages: streams open, carry both ways, half-close, and fail as over SPDY alone', async t => {
	const port = await listen(t, async socket => {
		const request = await buffer(socket);
		socket.end(`heard ${request.toString()}`);
	});
	const url = await urlFor(t, [], async wanted => {
		if (wanted !== port) throw new Error('nobody there');
		return await dialHere(wanted);
	});
	const {client: websocket, headers, statusCode} = await connectWebSocket(url, TUNNEL);
	t.is(statusCode, 101);
	t.is(headers['sec-websocket-protocol'], TUNNEL);
	const client = new FakeClient(tunnelOf(websocket!) as Socket, Buffer.alloc(0));
	const open = async (wanted: number, requestID: string) => {
		const error = await client.open({streamType: 'error', port: String(wanted), requestID});
		return {error, data: await client.open({streamType: 'data', port: String(wanted), requestID})};
	};
	const [good, bad] = [await open(port, '0'), await open(9, '1')];
	const big = 'x'.repeat(300_000);
	client.write(good.data, big);
	client.write(good.data, '', true);
	t.is(await client.text(good.data), `heard ${big}`);
	t.is(await client.text(good.error), '');
	t.is(await client.text(bad.error), 'error forwarding port 9 to pod pod1: nobody there');
	t.true(websocket!.texts.every(text => !text));
	websocket!.send({opcode: Opcode.CLOSE, data: Buffer.from([3, 232])});
	await websocket!.closed;
});

test('bytes in the tunnel that are not SPDY end it', async t => {
	const {client} = await connectWebSocket(await urlFor(t, []), TUNNEL);
	client!.send({opcode: Opcode.BINARY, data: Buffer.from([0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1])});
	await client!.closed;
	t.pass();
});
