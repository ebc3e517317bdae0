import {randomBytes} from 'node:crypto';
import test from 'ava';
import {systemClock} from '../../base/clock.js';
import {CorruptError, NotFoundError, UnavailableError} from '../../base/errors.js';
import {parseReference} from '../reference.js';
import {CHUNK_BYTES} from './chunks.js';
import {RegistrySource} from './client.js';
import {type Answer, collectAll, type FakeServer, openServer, plain, sendRange, toDescriptor, toParts} from './fake-server.js';

const SMALL = randomBytes(300_000);
const LARGE = randomBytes(5 * CHUNK_BYTES + 12_345);
const never = new AbortController().signal;

async function openSource(own: FakeServer, mirrors: readonly string[] = [], changes: Parameters<typeof toParts>[0] = {}): Promise<RegistrySource> {
	return await RegistrySource.open(parseReference(`${own.host}/a:1`), null, toParts({registries: plain(own.host, mirrors), ...changes}));
}

/** The first `count` answers break off after `bytes`. */
function cutting(count: number, bytes: number, whole: Buffer, after: Answer): Answer {
	return (request, response, index) => {
		if (index >= count) return after(request, response, index);
		const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
		const head = {'content-length': whole.length - start, ...(start > 0 ? {'content-range': `bytes ${start}-${whole.length - 1}/${whole.length}`} : {})};
		response.writeHead(start > 0 ? 206 : 200, head);
		response.write(whole.subarray(start, start + bytes), () => response.destroy());
	};
}

test('a blob that is cut is resumed where it ended', async t => {
	const own = await openServer(
		t,
		cutting(2, 100_000, SMALL, (request, response) => sendRange(request, response, SMALL)),
	);
	t.true((await collectAll((await openSource(own)).blob(toDescriptor(SMALL), never))).equals(SMALL));
	t.deepEqual(
		own.seen.map(({headers}) => headers.range),
		[undefined, 'bytes=100000-299999', 'bytes=200000-299999'],
	);
});

test('a server without ranges sends all of a cut blob again, and what is known is skipped', async t => {
	const own = await openServer(
		t,
		cutting(1, 100_000, SMALL, (_, response) => response.end(SMALL)),
	);
	t.true((await collectAll((await openSource(own)).blob(toDescriptor(SMALL), never))).equals(SMALL));
});

test('after a mirror breaks off with nothing, the next endpoint goes on', async t => {
	const mirror = await openServer(
		t,
		cutting(99, 1000, SMALL, () => {}),
	);
	const own = await openServer(t, (request, response) => sendRange(request, response, SMALL));
	t.true((await collectAll((await openSource(own, [mirror.url])).blob(toDescriptor(SMALL), never))).equals(SMALL));
	t.deepEqual([mirror.seen.length, own.seen[0]?.headers.range], [1, 'bytes=1000-299999']);
});

test('a server that feeds a byte per connection is given up', async t => {
	const own = await openServer(
		t,
		cutting(99, 1, SMALL, () => {}),
	);
	const error = await t.throwsAsync(collectAll((await openSource(own)).blob(toDescriptor(SMALL), never)), {instanceOf: UnavailableError});
	t.true(error.message.startsWith(`blob ${toDescriptor(SMALL).digest} of ${own.host}/a:1: ${own.host}: ends after 4 of 300000 bytes`), error.message);
	t.is(own.seen.length, 4);
});

test('a blob with fewer bytes than its descriptor says ends as corrupt, one with more at once', async t => {
	const short = await openServer(t, (request, response) => sendRange(request, response, SMALL));
	const descriptor = toDescriptor(SMALL);
	const read = async (size: number): Promise<Buffer> => await collectAll((await openSource(short)).blob({...descriptor, size}, never));
	await t.throwsAsync(read(300_001), {instanceOf: CorruptError, message: /has less than was asked for|for bytes 300000 of 300001/});
	await t.throwsAsync(read(299_999), {instanceOf: CorruptError, message: /is longer than its size 299999/});
	await t.throwsAsync(read(299_000), {instanceOf: CorruptError});
});

test('a blob that changed in size between two parts is noticed', async t => {
	const changed = randomBytes(200_000);
	const own = await openServer(
		t,
		cutting(1, 100_000, SMALL, (request, response) => sendRange(request, response, changed)),
	);
	const error = await t.throwsAsync(collectAll((await openSource(own)).blob(toDescriptor(SMALL), never)), {instanceOf: CorruptError});
	t.regex(error.message, /answers bytes 100000 of 200000 for bytes 100000 of 300000/);
});

test('a part that begins elsewhere, or does not say where, is not taken', async t => {
	for (const range of ['bytes 0-299999/300000', 'bytes */300000', '', 'nonsense']) {
		const own = await openServer(
			t,
			cutting(1, 100_000, SMALL, (_, response) => response.writeHead(206, range === '' ? {} : {'content-range': range}).end(SMALL.subarray(100_000))),
		);
		await t.throwsAsync(collectAll((await openSource(own)).blob(toDescriptor(SMALL), never)), {instanceOf: CorruptError}, range);
	}
});

test('a missing blob is named', async t => {
	const own = await openServer(t, (_, response) => response.writeHead(404).end());
	const {digest} = toDescriptor(SMALL);
	await t.throwsAsync(collectAll((await openSource(own)).blob(toDescriptor(SMALL), never)), {
		instanceOf: NotFoundError,
		message: new RegExp(`blob ${digest} of ${own.host}/a:1`),
	});
});

test('a slow-loris body is a stall, and another endpoint serves', async t => {
	const mirror = await openServer(t, (_, response) => {
		response.writeHead(200, {'content-length': SMALL.length});
		void (async () => {
			for (; !response.destroyed; response.write('x')) await systemClock.sleep(20);
		})();
	});
	const own = await openServer(t, (request, response) => sendRange(request, response, SMALL));
	const source = await openSource(own, [mirror.url], {stallTimeoutMs: 1000, minDownloadBytesPerSecond: 1024});
	const {length} = await collectAll(source.blob(toDescriptor(SMALL), never));
	t.is(length, SMALL.length);
	t.true(mirror.seen.length >= 1);
	t.regex(own.seen[0]?.headers.range ?? '', /^bytes=[1-9]\d*-299999$/);
});

test('an answer that never begins is a stall that names its host', async t => {
	const own = await openServer(t, () => {});
	const source = await openSource(own, [], {stallTimeoutMs: 100});
	await t.throwsAsync(source.manifest('1', never), {
		instanceOf: UnavailableError,
		message: `${own.host}/a:1: ${own.host}: stalls: no answer for 100 ms`,
	});
});

test('a large blob comes in chunks, in order, at most three at once', async t => {
	let open = 0;
	let most = 0;
	const {promise: three, resolve: begin} = Promise.withResolvers<void>();
	const own = await openServer(t, async (request, response) => {
		most = Math.max(most, ++open);
		response.once('close', () => open--);
		if (open === 3) begin();
		// The first one's beginning makes the client ask for two more; none of them ends before.
		if (request.headers.range === `bytes=0-${CHUNK_BYTES - 1}`) {
			response.writeHead(206, {'content-range': `bytes 0-${CHUNK_BYTES - 1}/${LARGE.length}`, 'content-length': CHUNK_BYTES});
			response.write(LARGE.subarray(0, 1000));
			await three;
			response.end(LARGE.subarray(1000, CHUNK_BYTES));
			return;
		}
		await three;
		sendRange(request, response, LARGE);
	});
	t.true((await collectAll((await openSource(own)).blob(toDescriptor(LARGE), never))).equals(LARGE));
	// On a slow machine the last ones may come in one.
	t.true(own.seen.length >= 4 && own.seen.length <= 6, `${own.seen.length} requests`);
	t.is(most, 3);
});

test('chunks of several blobs at once stay within the places there are, and all come whole', async t => {
	const own = await openServer(t, (request, response) => sendRange(request, response, LARGE));
	const source = await openSource(own);
	const blobs = await Promise.all(Array.from({length: 6}, async () => await collectAll(source.blob(toDescriptor(LARGE), never))));
	t.true(blobs.every(blob => blob.equals(LARGE)));
	// Whoever gives up half-way gives its places back.
	for (let round = 0; round < 4; round++) {
		for await (const piece of source.blob(toDescriptor(LARGE), never)) {
			t.true(piece.length > 0);
			break;
		}
	}
	t.true((await collectAll(source.blob(toDescriptor(LARGE), never))).equals(LARGE));
});

test('a large blob of a server without ranges comes as one stream', async t => {
	const own = await openServer(t, (_, response) => response.end(LARGE));
	t.true((await collectAll((await openSource(own)).blob(toDescriptor(LARGE), never))).equals(LARGE));
	t.is(own.seen.length, 1);
});

test('a server that answers parts of another total is asked for the whole', async t => {
	const own = await openServer(t, (request, response) => {
		if (request.headers.range === undefined) response.end(LARGE);
		else response.writeHead(206, {'content-range': `bytes 0-${CHUNK_BYTES - 1}/${LARGE.length + 1}`}).end(LARGE.subarray(0, CHUNK_BYTES));
	});
	t.true((await collectAll((await openSource(own)).blob(toDescriptor(LARGE), never))).equals(LARGE));
	t.is(own.seen.length, 2);
});

test('a chunk that breaks off is resumed, the others go on', async t => {
	const cut = new Set<string>();
	const own = await openServer(t, (request, response) => {
		const range = request.headers.range ?? '';
		const start = Number(/\d+/.exec(range)?.[0]);
		// The two that are always read ahead.
		if (cut.has(range) || (start !== CHUNK_BYTES && start !== 2 * CHUNK_BYTES)) return sendRange(request, response, LARGE);
		cut.add(range);
		response.writeHead(206, {'content-length': CHUNK_BYTES, 'content-range': `bytes ${start}-${start + CHUNK_BYTES - 1}/${LARGE.length}`});
		response.write(LARGE.subarray(start, start + 1_000_000), () => response.destroy());
	});
	t.true((await collectAll((await openSource(own)).blob(toDescriptor(LARGE), never))).equals(LARGE));
	t.is(cut.size, 2);
});

test('where the registry redirects to is remembered for the chunks, until it refuses', async t => {
	let valid = 0;
	const storage = await openServer(t, (request, response) => {
		// The first signed URL is good for two parts only.
		if (request.url === '/signed/1' && ++valid > 2) response.writeHead(403).end();
		else sendRange(request, response, LARGE);
	});
	let signed = 0;
	const own = await openServer(t, (_, response) => response.writeHead(307, {location: `${storage.url}/signed/${++signed}`}).end());
	t.true((await collectAll((await openSource(own)).blob(toDescriptor(LARGE), never))).equals(LARGE));
	t.true(signed >= 2 && signed <= 4, `${signed} redirects`);
});

test('a mirror that cannot be reached is asked once, not for each blob', async t => {
	const mirror = await openServer(t, (_, response) => response.destroy());
	const own = await openServer(t, (request, response) => sendRange(request, response, SMALL));
	const source = await openSource(own, [mirror.url]);
	for (let count = 0; count < 3; count++) await collectAll(source.blob(toDescriptor(SMALL), never));
	t.is(own.seen.length, 3);
	t.is(mirror.seen.length, 2, 'the second was at once, for a connection that was closed while it was idle');
});
