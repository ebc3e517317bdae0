import test from 'ava';
import {CorruptError} from '../../../base/errors.js';
import {DbusReader, DbusWriter, splitSignature, type DbusValue} from './dbus-codec.js';
import {encodeMessage, takeMessage} from './dbus-message.js';

for (const signature of ['()', 'a()', '{}', 'a{}', 's(u())', 'a(s()', 'a', '(', 'as)'])
	test(`"${signature}" is no signature`, t => {
		t.throws(() => splitSignature(signature), {instanceOf: CorruptError});
	});

/** An array of `length` bytes whose elements take none: read to its end, it would never come to it. */
function endlessArray(signature: string): Buffer {
	const bytes = Buffer.alloc(64);
	bytes.writeUInt8(signature.length, 0);
	bytes.write(signature, 1);
	const at = Math.ceil((2 + signature.length) / 4) * 4;
	bytes.writeUInt32LE(16, at);
	return bytes;
}

for (const signature of ['a()', 'a(())', 'a{}', 'aa()'])
	test(`a hostile reply with "${signature}" in a variant is refused and not read for ever`, t => {
		t.throws(() => new DbusReader(endlessArray(signature)).all('v'), {instanceOf: CorruptError, message: /no D-Bus signature/});
	});

test('a hostile reply whose own signature is "a()" is refused', t => {
	const message = {type: 2, serial: 1, path: '', interface: '', member: '', errorName: '', replySerial: 1, destination: ''};
	const bytes = encodeMessage({...message, signature: 'aau', body: [[[1, 2]]]});
	const at = bytes.indexOf('aau');
	bytes.write('a()', at);
	t.throws(() => takeMessage(bytes), {instanceOf: CorruptError, message: /no D-Bus signature/});
});

test('a variant of no type or of two, and an element longer than its array, are refused', t => {
	for (const signature of ['', 'ss']) t.throws(() => new DbusReader(endlessArray(signature)).all('v'), {instanceOf: CorruptError, message: /must be one type/});
	const bytes = new DbusWriter().all('as', [['long enough'] as readonly DbusValue[]]).finish();
	bytes.writeUInt32LE(6, 0);
	t.throws(() => new DbusReader(bytes).all('as'), {instanceOf: CorruptError, message: /longer than the array/});
});
