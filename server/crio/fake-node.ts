import {once} from 'node:events';
import {request} from 'node:http';
import {createConnection, createServer, type Socket} from 'node:net';
import {setImmediate} from 'node:timers/promises';
import {credentials, type Client, type ServiceError} from '@grpc/grpc-js';
import type {ExecutionContext} from 'ava';
import {systemClock, type Clock} from '../../base/clock.js';
import {silentLog} from '../../base/log.js';
import type {ImageStore} from '../../image/image.js';
import {loadCri} from '../../proto/loader.js';
import {fakeRuntime} from '../../runtime/fake-runtime.js';
import type {AnyRecord} from '../../runtime/state/codec.js';
import {fakeDaemon, temporaryDirectory} from '../fake-daemon.js';
import {createGrpcServer} from '../grpc-server.js';
import {bindSocket} from '../socket.js';
import {openCrioSocket} from './listen.js';
import type {SharedSocket} from './shared-socket.js';

/** For tests: the whole server in the identity of CRI-O, over a fake runtime that has these records. */
export interface FakeNode {
	readonly socketPath: string;
	readonly rootDir: string;
	readonly shared: SharedSocket;
	readonly fake: Awaited<ReturnType<typeof fakeRuntime>>;
}

export async function serveAsCrio(t: ExecutionContext, records: readonly AnyRecord[] = [], clock: Clock = systemClock): Promise<FakeNode> {
	const fake = await fakeRuntime(records);
	const images = {find: () => null, pullProgress: () => null, snapshotFeatures: () => [], snapshotDir: (key: string) => `/layers/${key}`};
	const runtime = {...fake.runtime, images: images as unknown as ImageStore};
	const grpc = createGrpcServer(fakeDaemon({runtime}));
	const socketPath = `${await temporaryDirectory(t)}/crio.sock`;
	const shared = await openCrioSocket({runtime, grpc, clock, log: silentLog}, socketPath);
	await bindSocket(shared.server, socketPath);
	t.teardown(async () => {
		shared.close();
		grpc.forceShutdown();
		await fake.remove();
	});
	return {socketPath, rootDir: runtime.options.rootDir, shared, fake};
}

/** A gRPC client's Version, on the connection that it keeps. */
export function versionCaller(t: ExecutionContext, socketPath: string): () => Promise<string> {
	const client: Client = new (loadCri().RuntimeService)(`unix:${socketPath}`, credentials.createInsecure());
	t.teardown(() => client.close());
	const calls = client as unknown as Record<'Version', (request: object, options: object, done: (error: ServiceError | null, reply: any) => void) => void>;
	return () =>
		new Promise((resolve, reject) => {
			calls.Version({version: 'v1'}, {deadline: Date.now() + 60_000}, (error, reply) => (error === null ? resolve(String(reply.runtime_name)) : reject(error)));
		});
}

export interface HttpAnswer {
	readonly code: number;
	readonly type: string;
	readonly body: string;
}

export async function ask(socketPath: string, path: string, method = 'GET'): Promise<HttpAnswer> {
	const asked = request({socketPath, path, method, agent: false});
	asked.end();
	const [response] = await once(asked, 'response');
	const chunks: Buffer[] = [];
	for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
	return {code: response.statusCode as number, type: response.headers['content-type'] as string, body: Buffer.concat(chunks).toString()};
}

/** A client that says these bytes and no more. */
export async function say(t: ExecutionContext, socketPath: string, bytes: string | Buffer): Promise<Socket> {
	const socket = createConnection({path: socketPath, allowHalfOpen: true});
	t.teardown(() => void socket.destroy());
	socket.on('error', () => {});
	await once(socket, 'connect');
	if (bytes.length > 0) socket.write(bytes);
	return socket;
}

/** All that it hears until the other side ends. */
export async function hear(socket: Socket): Promise<string> {
	const chunks: Buffer[] = [];
	socket.on('data', (chunk: Buffer) => chunks.push(chunk)).once('end', () => socket.end());
	await new Promise(resolve => socket.once('close', resolve));
	return Buffer.concat(chunks).toString('latin1');
}

/** A socket that passes on to another; the first bytes of a client one by one, each in a write of its own. */
export async function relayBytewise(t: ExecutionContext, socketPath: string, count: number): Promise<string> {
	const relayPath = `${await temporaryDirectory(t)}/relay.sock`;
	const open: Socket[] = [];
	const server = createServer(client => {
		const target = createConnection({path: socketPath, noDelay: true});
		open.push(client, target);
		for (const socket of [client, target]) socket.on('error', () => {});
		target.pipe(client);
		// It ends with its client, at any point.
		passOn(client, target, count).catch(() => target.destroy());
	});
	server.listen(relayPath);
	await once(server, 'listening');
	t.teardown(() => {
		for (const socket of open) socket.destroy();
		server.close();
	});
	return relayPath;
}

async function passOn(client: Socket, target: Socket, count: number): Promise<void> {
	let left = count;
	for await (const chunk of client as AsyncIterable<Buffer>) {
		const single = Math.min(left, chunk.length);
		for (let at = 0; at < single; at++) {
			target.write(chunk.subarray(at, at + 1));
			// So that the reader finds it alone.
			for (let turns = 0; turns < 3; turns++) await setImmediate();
		}
		target.write(chunk.subarray(single));
		left -= single;
	}
	target.end();
}
