import test from 'ava';
import {once} from 'node:events';
import type {Socket} from 'node:net';
import {systemClock, type Clock} from '../../base/clock.js';
import {patientMs} from '../../base/test-patience.js';
import {ask, hear, relayBytewise, say, serveAsCrio, versionCaller} from './fake-node.js';

/** Sleeps end when the test says so. */
class HeldClock implements Clock {
	readonly #ends = new Set<() => void>();
	nowNs = (): bigint => 0n;
	monotonicMs = (): number => 0;
	sleep = (_ms: number, signal?: AbortSignal): Promise<void> =>
		new Promise(resolve => {
			const end = (): void => {
				this.#ends.delete(end);
				resolve();
			};
			this.#ends.add(end);
			signal?.addEventListener('abort', end, {once: true});
		});
	get sleepers(): number {
		return this.#ends.size;
	}
	pass(): void {
		for (const end of this.#ends) end();
	}
}

async function until(holds: () => boolean): Promise<void> {
	const endMs = systemClock.monotonicMs() + patientMs(30_000);
	while (!holds()) {
		if (systemClock.monotonicMs() > endMs) throw new Error(`not in time: ${holds.toString()}`);
		await systemClock.sleep(2);
	}
}

test('the same socket serves gRPC and HTTP/1', async t => {
	const {socketPath} = await serveAsCrio(t);
	const version = versionCaller(t, socketPath);
	t.is(await version(), 'berth');
	t.is((await ask(socketPath, '/info')).code, 200);
	t.is(await version(), 'berth');
});

test('a preface that comes byte by byte is gRPC, a request that comes so is HTTP/1', async t => {
	const {socketPath} = await serveAsCrio(t);
	const relay = await relayBytewise(t, socketPath, 40);
	t.is(await versionCaller(t, relay)(), 'berth');
	t.is((await ask(relay, '/info')).code, 200);
});

test('once it is told apart, what a gRPC client sends passes by the stream of its socket', async t => {
	const {socketPath, shared} = await serveAsCrio(t);
	const pushed: number[] = [];
	shared.server.prependListener('connection', (socket: Socket) => {
		const push = socket.push.bind(socket);
		socket.push = (chunk, encoding) => {
			pushed.push(chunk === null ? 0 : (chunk as Buffer).length);
			return push(chunk, encoding);
		};
	});
	const version = versionCaller(t, socketPath);
	await version();
	const first = pushed.length;
	t.true(first >= 1);
	for (let call = 0; call < 20; call++) await version();
	t.is(pushed.length, first);
});

test('whoever says nothing, or a part of the preface, is hung up on in time; and nothing is kept for whoever goes by himself', async t => {
	const clock = new HeldClock();
	const {socketPath} = await serveAsCrio(t, [], clock);
	const [silent, slow, leaving, half] = [
		await say(t, socketPath, ''),
		await say(t, socketPath, 'PRI * '),
		await say(t, socketPath, 'PRI'),
		await say(t, socketPath, 'PR'),
	];
	await until(() => clock.sleepers === 4);
	leaving.destroy();
	half.end();
	t.is(await hear(half), '');
	await until(() => clock.sleepers === 2);
	const heard = Promise.all([hear(silent), hear(slow)]);
	clock.pass();
	t.deepEqual(await heard, ['', '']);
	t.is(clock.sleepers, 0);
});

test('a decision ends the wait', async t => {
	const clock = new HeldClock();
	const {socketPath} = await serveAsCrio(t, [], clock);
	const version = versionCaller(t, socketPath);
	await version();
	t.is(clock.sleepers, 0);
	clock.pass();
	t.is(await version(), 'berth');
});

for (const [what, bytes, answer] of [
	['garbage', Buffer.from([0, 1, 2, 3, 255, 13, 10, 13, 10]), /^HTTP\/1\.1 400 /],
	['a TLS hello', Buffer.from('16030100050100000103', 'hex'), /^HTTP\/1\.1 400 /],
	['a preface with a mistake in it', 'PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n', /^HTTP\/1\.1 400 /],
	['a header that is too large', `GET /info HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}`, /^HTTP\/1\.1 431 /],
	['a request without a host', 'GET /info HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
] as const) {
	test(`${what} is refused, and harms no other`, async t => {
		const {socketPath} = await serveAsCrio(t);
		const version = versionCaller(t, socketPath);
		await version();
		t.regex(await hear(await say(t, socketPath, bytes)), answer);
		t.is(await version(), 'berth');
		t.is((await ask(socketPath, '/info')).code, 200);
	});
}

test('what follows a good start of the preface and is no HTTP/2 ends that connection alone', async t => {
	const {socketPath} = await serveAsCrio(t);
	const version = versionCaller(t, socketPath);
	await version();
	await hear(await say(t, socketPath, `PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n${'y'.repeat(1000)}`));
	t.is(await version(), 'berth');
});

test('a client that shuts its side down after the request is answered; so are requests one after the other, and at once', async t => {
	const {socketPath} = await serveAsCrio(t);
	const shut = await say(t, socketPath, '');
	shut.end('GET /info HTTP/1.1\r\nHost: crio\r\n\r\n');
	t.regex(await hear(shut), /^HTTP\/1\.1 200 OK\r\n.*"storage_driver":"overlay"/s);
	const kept = await say(t, socketPath, 'GET /info HTTP/1.1\r\nHost: crio\r\n\r\n');
	const [first] = await once(kept, 'data');
	t.regex(String(first), /^HTTP\/1\.1 200 /);
	kept.write('GET /containers/x HTTP/1.1\r\nHost: crio\r\n\r\nGET /info HTTP/1.1\r\nHost: crio\r\nConnection: close\r\n\r\n');
	t.regex(await hear(kept), /^HTTP\/1\.1 404 .*HTTP\/1\.1 200 OK/s);
});

test('many that say nothing, or half a request, keep nobody out, and end no gRPC connection', async t => {
	const {socketPath, shared} = await serveAsCrio(t);
	const version = versionCaller(t, socketPath);
	await version();
	const idle: Socket[] = [];
	for (let round = 0; round < 8; round++)
		idle.push(...(await Promise.all(Array.from({length: 50}, (_, index) => say(t, socketPath, index % 2 === 0 ? '' : 'GET /info HTTP/1.1\r\nHost: a')))));
	t.is(await version(), 'berth');
	t.is((await ask(socketPath, '/info')).code, 200);
	t.is(await versionCaller(t, socketPath)(), 'berth');
	const count = await new Promise<number>((resolve, reject) =>
		shared.server.getConnections((error, found) => (error === null ? resolve(found) : reject(error))),
	);
	// 256 of the others, and the two gRPC connections.
	t.true(count <= 258, String(count));
});

test('close() takes no more connections and hangs up on the others; calls under way are the gRPC server’s to end', async t => {
	const {socketPath, shared} = await serveAsCrio(t);
	const version = versionCaller(t, socketPath);
	await version();
	const silent = await say(t, socketPath, '');
	const kept = await say(t, socketPath, 'GET /info HTTP/1.1\r\nHost: crio\r\n\r\n');
	await once(kept, 'data');
	const heard = Promise.all([hear(silent), hear(kept)]);
	shared.close();
	await heard;
	t.is(await version(), 'berth');
	await t.throwsAsync(ask(socketPath, '/info'), {message: /ECONNREFUSED|ENOENT/});
});
