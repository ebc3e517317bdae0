import {credentials, Server, ServerCredentials, status, type ServiceError} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import {once} from 'node:events';
import {systemClock} from '../base/clock.js';
import {NotFoundError} from '../base/errors.js';
import {loadCri} from '../proto/loader.js';
import type {Daemon} from './call.js';
import {fakeDaemon, temporaryDirectory} from './fake-daemon.js';
import {wrap, wrapStream, type Handler, type StreamHandler} from './grpc.js';

const {RuntimeService} = loadCri();
const DEADLINE_MS = 5000;

/** A server on a socket of its own with the given calls, and a client to it. */
async function connect(t: ExecutionContext, calls: object) {
	const socket = `${await temporaryDirectory(t)}/s.sock`;
	const server = new Server();
	server.addService(RuntimeService.service, calls as never);
	await new Promise<void>((resolve, reject) =>
		server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), error => (error === null ? resolve() : reject(error))),
	);
	const client = new RuntimeService(`unix:${socket}`, credentials.createInsecure());
	t.teardown(() => {
		client.close();
		server.forceShutdown();
	});
	return client;
}

/** Calls StartContainer served by `handler`; the client's deadline is `deadlineMs`. */
async function start(t: ExecutionContext, handler: Handler<unknown, object>, deadlineMs = DEADLINE_MS) {
	const lines: {readonly level: string; readonly fields: object; readonly text: string}[] = [];
	const recorder =
		(level: string) =>
		(fields: object, text = '') =>
			void lines.push({level, fields, text});
	const log = {debug: recorder('debug'), info: recorder('info'), warn: recorder('warn'), error: recorder('error')} as Partial<Daemon['log']>;
	const client = await connect(t, {StartContainer: wrap('StartContainer', 'changes', fakeDaemon({log}), handler)});
	const [error] = await new Promise<[ServiceError | null]>(resolve => {
		client.StartContainer({container_id: 'c1'}, {deadline: Date.now() + deadlineMs}, failure => resolve([failure]));
	});
	return {error, lines};
}

test('wrap answers and logs once, with the time', async t => {
	const {error, lines} = await start(t, async () => ({}));
	t.is(error, null);
	t.is(lines.length, 1);
	t.like(lines[0], {level: 'info', text: 'rpc done', fields: {rpc: 'StartContainer'}});
	t.true(Number((lines[0]?.fields as {ms?: number} | undefined)?.ms) >= 0);
});

test('wrap turns a rejection into its status and logs it once', async t => {
	const {error, lines} = await start(t, async () => {
		throw new NotFoundError('container', 'c1');
	});
	t.like(error, {code: status.NOT_FOUND, details: 'container "c1" not found'});
	t.is(lines.length, 1);
	t.like(lines[0], {level: 'info', text: 'rpc failed', fields: {code: 'NOT_FOUND'}});
});

test('wrap turns a synchronous throw of unknown kind into INTERNAL and logs an error', async t => {
	const {error, lines} = await start(t, (() => {
		throw new TypeError('x is not a function');
	}) as Handler<unknown, object>);
	t.like(error, {code: status.INTERNAL, details: 'x is not a function'});
	t.like(lines[0], {level: 'error'});
});

test('wrap aborts the handler when the deadline passes', async t => {
	const reasons: unknown[] = [];
	const {promise: aborted, resolve: abort} = Promise.withResolvers<void>();
	const entered = new Set<string>();
	const client = await connect(t, {
		StartContainer: wrap('StartContainer', 'changes', fakeDaemon(), async ({signal}) => {
			entered.add('once');
			if (!signal.aborted) await once(signal, 'abort');
			reasons.push(signal.reason);
			abort();
			throw signal.reason;
		}),
	});
	// On a busy machine a short deadline passes before the handler is called: then a longer one.
	for (let deadlineMs = 50; entered.size === 0; deadlineMs *= 2) {
		const {promise: answered, resolve: answer} = Promise.withResolvers<ServiceError | null>();
		client.StartContainer({container_id: 'c1'}, {deadline: Date.now() + deadlineMs}, answer);
		t.is((await answered)?.code, status.DEADLINE_EXCEEDED);
	}
	await aborted;
	t.like(reasons[0], {code: 'CANCELLED'});
});

test('wrap aborts the handler when the client cancels', async t => {
	const entered = Promise.withResolvers<void>();
	const aborted = Promise.withResolvers<unknown>();
	const client = await connect(t, {
		StartContainer: wrap('StartContainer', 'changes', fakeDaemon(), async ({signal}) => {
			entered.resolve();
			await once(signal, 'abort');
			aborted.resolve(signal.reason);
			return {};
		}),
	});
	const answered = new Promise<ServiceError | null>(resolve => {
		const call = client.StartContainer({container_id: 'c1'}, {deadline: Date.now() + DEADLINE_MS}, resolve);
		void entered.promise.then(() => call.cancel());
	});
	t.is((await answered)?.code, status.CANCELLED);
	t.like(await aborted.promise, {code: 'CANCELLED'});
});

test('wrap does not abort the signal of a call that ended well', async t => {
	let signal: AbortSignal | null = null;
	await start(t, async call => {
		({signal} = call);
		return {};
	});
	await systemClock.sleep(20);
	t.false((signal as AbortSignal | null)?.aborted);
});

/** Reads all of GetContainerEvents served by `handler`. */
async function read(t: ExecutionContext, handler: StreamHandler<unknown, object>, take = Infinity) {
	const client = await connect(t, {GetContainerEvents: wrapStream('GetContainerEvents', 'reads', fakeDaemon(), handler)});
	const stream = client.GetContainerEvents({}, {deadline: Date.now() + DEADLINE_MS});
	const ids: string[] = [];
	const ended = new Promise<ServiceError | null>(resolve => {
		stream.on('error', (error: ServiceError) => resolve(error));
		stream.on('end', () => resolve(null));
	});
	stream.on('data', ({container_id: id}: {readonly container_id: string}) => {
		ids.push(id);
		if (ids.length === take) stream.cancel();
	});
	return {ids, error: await ended};
}

test('wrapStream sends everything in order, then ends', async t => {
	const {ids, error} = await read(t, async function* () {
		for (let n = 0; n < 500; n++) yield {container_id: `${n}`};
	});
	t.is(error, null);
	t.deepEqual(
		ids,
		Array.from({length: 500}, (_, n) => `${n}`),
	);
});

test('wrapStream sends what came before a throw, then the status', async t => {
	const {ids, error} = await read(t, async function* () {
		yield {container_id: 'a'};
		throw new NotFoundError('container', 'b');
	});
	t.deepEqual(ids, ['a']);
	t.like(error, {code: status.NOT_FOUND, details: 'container "b" not found'});
});

test('wrapStream ends a handler that its client has left', async t => {
	const left = Promise.withResolvers<void>();
	const {error} = await read(
		t,
		async function* () {
			try {
				for (let n = 0; ; n++) yield {container_id: 'x'.repeat(100_000) + n};
			} finally {
				left.resolve();
			}
		},
		3,
	);
	t.is(error?.code, status.CANCELLED);
	await left.promise;
	t.pass();
});
