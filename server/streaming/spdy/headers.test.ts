import test from 'ava';
import fc from 'fast-check';
import {constants, createInflate, deflateSync} from 'node:zlib';
import {InvalidArgumentError} from '../../../base/errors.js';
import {FakeClient} from '../fake-client.js';
import {SPDY_DICTIONARY} from './dictionary.js';
import {HeaderDecoder, HeaderEncoder, MAX_HEADER_BYTES} from './headers.js';
import {PassThrough} from 'node:stream';

const headers = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z-]{1,20}$/), fc.stringMatching(/^[ -~]{0,200}$/)), {selector: ([name]) => name, maxLength: 8});

test("the dictionary is the protocol's: zlib writes its checksum into the header of a stream", t => {
	t.is(SPDY_DICTIONARY.length, 1423);
	t.is(deflateSync('', {dictionary: SPDY_DICTIONARY}).readUInt32BE(2), 0xe3c6_a7c2);
});

test('blocks of one zlib stream are read one by one, over more than the window', async t => {
	const client = new FakeClient(new PassThrough() as never, Buffer.alloc(0));
	const decoder = new HeaderDecoder();
	for (let round = 0; round < 60; round++) {
		const sent = {streamtype: 'stdout', round: String(round), filler: String(round % 7).repeat(1500)};
		t.deepEqual(Object.fromEntries(decoder.decode(await client.compress(sent))), sent);
	}
});

test('what the encoder writes is read by zlib and by the decoder', async t => {
	await fc.assert(
		fc.asyncProperty(fc.array(headers, {minLength: 1, maxLength: 5}), async blocks => {
			const encoder = new HeaderEncoder();
			const decoder = new HeaderDecoder();
			const inflate = createInflate({dictionary: SPDY_DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH});
			let bytes = 0;
			inflate.on('data', (chunk: Buffer) => (bytes += chunk.length));
			let plainBytes = 0;
			for (const pairs of blocks) {
				const block = encoder.encode(new Map(pairs));
				t.deepEqual([...decoder.decode(block)], pairs);
				plainBytes += 4 + pairs.flat().reduce((sum, text) => sum + 4 + text.length, 0);
				inflate.write(block);
			}
			const {promise, resolve} = Promise.withResolvers<void>();
			inflate.flush(constants.Z_SYNC_FLUSH, resolve);
			await promise;
			inflate.destroy();
			t.is(bytes, plainBytes);
		}),
		{numRuns: 50},
	);
});

test('a block that unpacks to more than the limit is refused', async t => {
	const client = new FakeClient(new PassThrough() as never, Buffer.alloc(0));
	const bomb = await client.compress({a: 'x'.repeat(1_000_000)});
	t.true(bomb.length < MAX_HEADER_BYTES);
	t.throws(() => new HeaderDecoder().decode(bomb), {instanceOf: InvalidArgumentError});
});

test('arbitrary and bent blocks are read or refused, never anything else', async t => {
	const client = new FakeClient(new PassThrough() as never, Buffer.alloc(0));
	const good = await client.compress({streamtype: 'error', 'other-header': 'value'});
	fc.assert(
		fc.property(fc.nat(good.length - 1), fc.nat(255), (index, value) => {
			const bent = Buffer.from(good);
			bent[index] = value;
			try {
				new HeaderDecoder().decode(bent);
			} catch (error) {
				if (!(error instanceof InvalidArgumentError)) throw error;
			}
		}),
		{numRuns: 500},
	);
	t.throws(() => new HeaderDecoder().decode(Buffer.from('no zlib')), {instanceOf: InvalidArgumentError});
});
