import {readFile} from 'node:fs/promises';
import test from 'ava';
import fc from 'fast-check';
import {CorruptError} from '../base/errors.js';
import * as numbers from './protocol-numbers.js';
import {BodyReader, BodyWriter, decodeHeader, encodeHeader} from './protocol.js';

const {TAG, MESSAGE} = numbers;

test('protocol-numbers.ts has every number of protocol.h and no other', async t => {
	const headers = ['protocol.h', 'protocol-tags.h'].map(name => readFile(new URL(`../../native/${name}`, import.meta.url), 'utf8'));
	const header = (await Promise.all(headers)).join('');
	const inC = new Map<string, number>();
	for (const [, body] of header.matchAll(/^enum \w+ \{(.*?)^\};/gms)) {
		for (const [, name, value] of body!.matchAll(/^\t([A-Z0-9_]+) = (0x[0-9a-f]+|\d+),/gm)) inC.set(name!, Number(value));
	}
	const inTypeScript = new Map<string, number>();
	for (const [name, value] of Object.entries(numbers)) {
		if (typeof value === 'number') inTypeScript.set(name, value);
		else for (const [member, number] of Object.entries(value)) inTypeScript.set(`${name}_${member}`, number);
	}
	t.true(inC.size > 150);
	t.deepEqual(Object.fromEntries(inTypeScript), Object.fromEntries(inC));
});

test('a header is read as it was written', t => {
	fc.assert(
		fc.property(
			fc.record({
				version: fc.integer({min: 0, max: 0xffff}),
				type: fc.integer({min: 0, max: 0xffff}),
				requestId: fc.integer({min: 0, max: 0xffffffff}),
				status: fc.integer(),
				flags: fc.integer({min: 0, max: 0xffffffff}),
				bodyBytes: fc.integer({min: 0, max: numbers.MAX_BODY_BYTES}),
			}),
			header => void t.deepEqual(decodeHeader(encodeHeader(header)), header),
		),
	);
});

test('a header in bytes is what protocol.h says', t => {
	const bytes = encodeHeader({version: 1, type: MESSAGE.START, requestId: 7, status: -2, flags: 2, bodyBytes: 9});
	t.is(bytes.toString('hex'), '42525448' + '0100' + '2100' + '07000000' + 'feffffff' + '02000000' + '09000000');
});

test('values of every type are read as they were written, lists in order', t => {
	fc.assert(
		fc.property(
			fc.integer({min: 0, max: 0xffffffff}),
			fc.bigInt({min: 0n, max: 2n ** 64n - 1n}),
			fc.boolean(),
			fc.string({unit: 'binary'}),
			fc.array(fc.integer({min: 0, max: 0xffffffff})),
			fc.array(fc.string({unit: 'binary'})),
			(u32, u64, bool, text, list, names) => {
				const writer = new BodyWriter().u32(TAG.PID, u32).u64(TAG.STARTED_AT_NS, u64).bool(TAG.ALL, bool).string(TAG.HOSTNAME, text);
				for (const gid of list) writer.u32(TAG.SUPPLEMENTAL_GID, gid);
				for (const name of names) writer.group(TAG.CONTAINER, it => it.group(TAG.USER, inner => inner.string(TAG.NAME, name)));
				const reader = new BodyReader(writer.finish());
				t.is(reader.u32(TAG.PID), u32);
				t.is(reader.u64(TAG.STARTED_AT_NS), u64);
				t.is(reader.bool(TAG.ALL), bool);
				t.is(reader.string(TAG.HOSTNAME), text);
				t.deepEqual(reader.u32s(TAG.SUPPLEMENTAL_GID), list);
				t.deepEqual(
					reader.groups(TAG.CONTAINER).map(it => it.groups(TAG.USER)[0]!.string(TAG.NAME)),
					names,
				);
			},
		),
	);
});

test('any bytes are read or refused with CorruptError, nothing else', t => {
	const tlv = fc.tuple(fc.integer({min: 0, max: 200}), fc.integer({min: 0, max: 1}), fc.uint8Array({maxLength: 12}), fc.integer({min: -2, max: 2}));
	fc.assert(
		fc.property(fc.array(tlv), fc.uint8Array({maxLength: 10}), (tlvs, rest) => {
			const parts = tlvs.map(([tag, flags, value, lie]) => {
				const head = Buffer.alloc(8);
				head.writeUInt16LE(tag, 0);
				head.writeUInt16LE(flags, 2);
				head.writeUInt32LE(Math.max(0, value.length + lie), 4);
				return Buffer.concat([head, value]);
			});
			try {
				const reader = new BodyReader(Buffer.concat([...parts, rest]));
				reader.u32(TAG.PID, 0);
				reader.u64(TAG.STARTED_AT_NS, 0n);
				reader.groups(TAG.CONTAINER);
				t.pass();
			} catch (error) {
				t.true(error instanceof CorruptError, String(error));
			}
		}),
		{numRuns: 2000},
	);
});

test('an unknown tag is refused unless it is marked optional; a missing or doubled one is named', t => {
	const unknown = new BodyWriter().u32(9999, 1).u32(TAG.PID, 5).finish();
	t.throws(() => new BodyReader(unknown), {instanceOf: CorruptError, message: /unknown tag 9999/});
	unknown.writeUInt16LE(numbers.TLV_FLAG.OPTIONAL, 2);
	t.is(new BodyReader(unknown).u32(TAG.PID), 5);
	t.throws(() => new BodyReader(unknown).u32(TAG.UID), {message: /tag 117 is missing/});
	const doubled = new BodyReader(new BodyWriter().u32(TAG.PID, 5).u32(TAG.PID, 6).finish());
	t.throws(() => doubled.u32(TAG.PID), {message: /tag 6 comes twice/});
});
