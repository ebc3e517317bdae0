import test from 'ava';
import {getEventListeners, once} from 'node:events';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import {systemClock} from '../../../base/clock.js';
import {FakeClient} from '../fake-client.js';
import {SpdyConnection} from './connection.js';
import {controlFrame, FrameType} from './frames.js';
import type {SpdyStream} from './stream.js';

const limits = {maxStreams: 2, pingIntervalMs: 20, idleTimeoutMs: 60_000};

async function pair(t: {teardown(run: () => void): void}) {
	const server = createServer({allowHalfOpen: true});
	t.teardown(() => server.close());
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const accepted = once(server, 'connection') as Promise<[Socket]>;
	const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
	const [peer] = await accepted;
	t.teardown(() => (socket.destroy(), void peer.destroy()));
	return {connection: new SpdyConnection(peer, Buffer.alloc(0), limits), client: new FakeClient(socket, Buffer.alloc(0)), peer};
}

/** A stream that nobody reads, filled until the connection stands still. */
async function standStill(connection: SpdyConnection, client: FakeClient): Promise<SpdyStream> {
	const opened = once(connection, 'stream') as Promise<[SpdyStream]>;
	const id = await client.open({streamtype: 'stdin'});
	const [stream] = await opened;
	for (let index = 0; index < 20; index++) client.write(id, Buffer.alloc(1_000_000));
	while (stream.readableLength < stream.readableHighWaterMark) await systemClock.sleep(5);
	return stream;
}

async function closes(connection: SpdyConnection): Promise<boolean> {
	for (let waitedMs = 0; waitedMs < 5000 && !connection.closed.aborted; waitedMs += 10) await systemClock.sleep(10);
	return connection.closed.aborted;
}

test('a connection that ends while input is unread closes with its client', async t => {
	const {connection, client} = await pair(t);
	await standStill(connection, client);
	connection.end();
	await client.until('go-away');
	await client.closed;
	t.true(await closes(connection));
});

test('a client that goes away while its input is not read is noticed', async t => {
	const {connection, client} = await pair(t);
	const stream = await standStill(connection, client);
	client.socket.resetAndDestroy();
	t.true(await closes(connection));
	t.true(stream.destroyed);
});

test('streams beyond the limit are refused, and there is room again when one closes', async t => {
	const {connection, client} = await pair(t);
	const streams: SpdyStream[] = [];
	connection.on('stream', stream => void streams.push(stream));
	for (let index = 0; index < 3; index++) await client.open({});
	t.like(await client.until('rst-stream'), {streamId: 5, status: 3});
	streams[0]!.destroy();
	await systemClock.sleep(10);
	const opened = once(connection, 'stream') as Promise<[SpdyStream]>;
	await client.open({});
	t.is((await opened)[0].id, 7);
});

test('writes that wait for a client that does not read leave no listeners, nor any of streams that it resets', async t => {
	const {connection, client, peer} = await pair(t);
	client.socket.pause();
	const before = {drain: peer.listenerCount('drain'), abort: getEventListeners(connection.closed, 'abort').length};
	const written: Promise<unknown>[] = [];
	for (let round = 0; round < 30; round++) {
		const opened = once(connection, 'stream') as Promise<[SpdyStream]>;
		const id = await client.open({streamtype: 'stdout'});
		const [stream] = await opened;
		// The kernel takes some, and more is left than the socket wants.
		while (!peer.writableNeedDrain && !stream.writableNeedDrain) {
			written.push(new Promise(resolve => stream.write(Buffer.alloc(100_000), resolve)));
			await systemClock.sleep(1);
		}
		written.push(new Promise(resolve => stream.write('more', resolve)));
		client.socket.write(controlFrame(FrameType.RST_STREAM, 0, id, 5));
		while (!stream.destroyed) await systemClock.sleep(1);
	}
	await Promise.all(written);
	t.is(peer.listenerCount('drain'), before.drain);
	t.is(getEventListeners(connection.closed, 'abort').length, before.abort);
	// One that is not reset goes on once the client reads.
	const opened = once(connection, 'stream') as Promise<[SpdyStream]>;
	await client.open({streamtype: 'stdout'});
	const [stream] = await opened;
	const last = new Promise(resolve => stream.write('last', resolve));
	client.socket.resume();
	t.falsy(await last);
});
