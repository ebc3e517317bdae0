import {appendFile, mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {systemClock} from '../../base/clock.js';
import {CorruptError} from '../../base/errors.js';
import {silentLog} from '../../base/log.js';
import {sandboxRecord} from '../fake-records.js';
import {type AnyRecord, seal, toLine} from './codec.js';
import {Journal, parseJournal} from './journal.js';

async function journalIn(t: ExecutionContext, records: readonly AnyRecord[] = []) {
	const dir = await mkdtemp(join(tmpdir(), 'journal-'));
	const path = join(dir, 'journal');
	const journal = await Journal.open(path, {snapshot: () => records, clock: systemClock, log: silentLog});
	t.teardown(async () => {
		await journal.close().catch(() => {});
		await rm(dir, {recursive: true});
	});
	return {journal, path};
}

test('Journal gives back what was put, without what was deleted, with bigints as they were', async t => {
	const {journal, path} = await journalIn(t);
	const kept = {...sandboxRecord('a'), createdAtNs: 1_795_391_379_123_456_789n};
	await Promise.all([journal.append({op: 'put', record: sandboxRecord('b')}), journal.append({op: 'put', record: kept})]);
	await journal.append({op: 'delete', kind: 'sandbox', id: sandboxRecord('b').id});
	const {records, damage} = await Journal.read(path);
	t.deepEqual([...records.values()], [kept]);
	t.deepEqual(damage, []);
});

test('a pod sandbox of a journal from before user namespaces has none', t => {
	const {userNamespace, ...earlier} = sandboxRecord('a');
	t.is(userNamespace, null);
	const {records} = parseJournal(toLine({op: 'put', record: earlier as AnyRecord}));
	t.deepEqual([...records.values()], [{...earlier, userNamespace: null}]);
	const own = {...sandboxRecord('b'), userNamespace: {uids: {first: 1, count: 2}, gids: {first: 3, count: 4}}};
	t.deepEqual([...parseJournal(toLine({op: 'put', record: own})).records.values()], [own]);
});

test('Journal shares one write among appends of one turn and keeps their order', async t => {
	const {journal, path} = await journalIn(t);
	const id = sandboxRecord('a').id;
	await Promise.all(Array.from({length: 200}, (_, n) => journal.append({op: 'put', record: {...sandboxRecord('a'), ips: [`10.0.0.${n}`]}})));
	const {records} = await Journal.read(path);
	const record = records.get(id);
	t.deepEqual(record?.kind === 'sandbox' && record.ips, ['10.0.0.199']);
});

test('Journal.open writes the records it is given anew and drops all else', async t => {
	const {path, journal} = await journalIn(t, [sandboxRecord('a')]);
	await journal.append({op: 'delete', kind: 'sandbox', id: sandboxRecord('a').id});
	t.is((await Journal.read(path)).records.size, 0);
	const second = await Journal.open(path, {snapshot: () => [sandboxRecord('c')], clock: systemClock, log: silentLog});
	t.deepEqual([...(await Journal.read(path)).records.values()], [sandboxRecord('c')]);
	await second.close();
});

test('Journal of a missing file is empty', async t => {
	t.is((await Journal.read('/nonexistent/journal')).records.size, 0);
});

test('a journal cut at any byte serves every line before the cut', async t => {
	const {journal, path} = await journalIn(t);
	const names = ['a', 'b', 'c'];
	for (const name of names) await journal.append({op: 'put', record: sandboxRecord(name)});
	const whole = await readFile(path, 'utf8');
	await journal.close();
	for (let cut = 0; cut <= whole.length; cut += 7) {
		const {records, damage} = parseJournal(whole.slice(0, cut));
		t.is(records.size, Math.max(0, whole.slice(0, cut).split('\n').length - 2));
		t.deepEqual(damage, []);
	}
});

test('a flipped bit costs one object, which is named, and no other', t => {
	const lines = ['a', 'b', 'c'].map(name => toLine({op: 'put', record: sandboxRecord(name)}));
	const middle = Buffer.from(lines[1] ?? '');
	fc.assert(
		fc.property(fc.nat(middle.length - 2), fc.nat(6), (at, bit) => {
			const flipped = Buffer.from(middle);
			flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
			// A newline made by the flip splits the line: two damaged ones, still no other object harmed.
			const {records, damage} = parseJournal((lines[0] ?? '') + flipped.toString('utf8') + (lines[2] ?? ''));
			return records.has(sandboxRecord('a').id) && records.has(sandboxRecord('c').id) && !records.has(sandboxRecord('b').id) && damage.length >= 1;
		}),
	);
	t.pass();
});

test('damage names the line, the rule, and the object', t => {
	const line = toLine({op: 'put', record: sandboxRecord('b')}).replace('"kind"', '"kinb"');
	t.deepEqual(parseJournal(line).damage, [{line: 1, reason: 'checksum does not fit', id: sandboxRecord('b').id}]);
});

test('a journal of a newer version is refused, not rewritten', t => {
	t.throws(() => parseJournal(seal('{"journal":"berth","version":99}')), {
		instanceOf: CorruptError,
		message: 'journal has version 99, this berth knows up to 1',
	});
});

test('a journal appended to after a torn write reads whole once opened again', async t => {
	const {journal, path} = await journalIn(t);
	await journal.append({op: 'put', record: sandboxRecord('a')});
	await appendFile(path, toLine({op: 'put', record: sandboxRecord('b')}).slice(0, 40));
	const read = await Journal.read(path);
	t.is(read.records.size, 1);
	const again = await Journal.open(path, {snapshot: () => read.records.values(), clock: systemClock, log: silentLog});
	await again.append({op: 'put', record: sandboxRecord('c')});
	await again.close();
	t.deepEqual([...(await Journal.read(path)).records.keys()], [sandboxRecord('a').id, sandboxRecord('c').id]);
});

test('Journal compacts once it holds far more than it needs', async t => {
	const record = {...sandboxRecord('a'), annotations: {big: 'x'.repeat(100_000)}};
	const {journal, path} = await journalIn(t, [record]);
	for (let n = 0; n < 60; n++) await journal.append({op: 'put', record});
	t.true((await readFile(path)).length < 3_000_000);
	t.deepEqual([...(await Journal.read(path)).records.values()], [record]);
});

test('an append that fails leaves the lines before it whole, and rejects', async t => {
	const {journal, path} = await journalIn(t);
	await journal.append({op: 'put', record: sandboxRecord('a')});
	await journal.close();
	await t.throwsAsync(journal.append({op: 'put', record: sandboxRecord('b')}));
	t.is((await Journal.read(path)).records.size, 1);
});
