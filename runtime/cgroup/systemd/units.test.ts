import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {systemClock} from '../../../base/clock.js';
import {CorruptError, FailedError, TimedOutError, UnavailableError} from '../../../base/errors.js';
import {DbusReader, DbusWriter, splitSignature, type DbusValue} from './dbus-codec.js';
import {encodeMessage, takeMessage} from './dbus-message.js';
import {FakeSystemd} from './fake-systemd.js';
import {CALL_TIMEOUT_MS, SystemdUnits} from './units.js';

/** What sd-bus (busctl 252) sends for StartTransientUnit of berth-1.scope with Slice, PIDs 17 and 18, and Delegate. */
const SD_BUS_CALL = Buffer.from(
	'6c0104018800000002000000b600000001016f00190000002f6f72672f667265656465736b746f702f73797374656d643100000000000000030173001200000053746172745472616e7369656e74556e69740000000000000201730020' +
		'0000006f72672e667265656465736b746f702e73797374656d64312e4d616e61676572000000000000000006017300180000006f72672e667265656465736b746f702e73797374656d643100000000000000000801670010737361287376' +
		'296128736128737629290000000d00000062657274682d312e73636f7065000000070000007265706c616365005c0000000000000005000000536c696365000173000000000e0000006b756265706f64732e736c6963650000000000000400' +
		'0000504944730002617500000000080000001100000012000000000000000800000044656c6567617465000162000100000000000000',
	'hex',
);

async function setUp(t: ExecutionContext): Promise<{readonly fake: FakeSystemd; readonly units: SystemdUnits; readonly path: string}> {
	const dir = await mkdtemp(join(tmpdir(), 'berth-bus-'));
	const path = join(dir, 'bus');
	const fake = await FakeSystemd.listen(path);
	const units = new SystemdUnits(path, systemClock);
	t.teardown(async () => {
		units.close();
		await fake.close();
		await rm(dir, {recursive: true});
	});
	return {fake, units, path};
}

const SCOPE = {name: 'berth-1.scope', slice: 'kubepods.slice', description: 'a pod', pids: [17, 18]};

test("sd-bus's own bytes are read, and its body is written the same", t => {
	const taken = takeMessage(SD_BUS_CALL);
	t.is(taken?.length, SD_BUS_CALL.length);
	const {signature = '', body = []} = taken?.message ?? {};
	t.is(signature, 'ssa(sv)a(sa(sv))');
	t.deepEqual(body, [
		'berth-1.scope',
		'replace',
		[
			['Slice', {signature: 's', value: 'kubepods.slice'}],
			['PIDs', {signature: 'au', value: [17, 18]}],
			['Delegate', {signature: 'b', value: true}],
		],
		[],
	]);
	t.deepEqual(new DbusWriter().all(signature, body).finish(), SD_BUS_CALL.subarray(-0x88));
});

const VALUES: readonly (readonly [string, fc.Arbitrary<DbusValue>])[] = [
	['y', fc.integer({min: 0, max: 255})],
	['b', fc.boolean()],
	['u', fc.integer({min: 0, max: 0xffffffff})],
	['i', fc.integer()],
	['t', fc.bigInt({min: 0n, max: 2n ** 64n - 1n})],
	['s', fc.string({unit: 'binary'})],
	['as', fc.array(fc.string())],
	['a(yt)', fc.array(fc.tuple(fc.integer({min: 0, max: 255}), fc.bigInt({min: 0n, max: 9n})))],
	['v', fc.record({signature: fc.constant('t'), value: fc.bigInt({min: 0n, max: 9n})})],
];

test('values of every type that is used are read as they were written, in any order', t => {
	const some = fc.array(
		fc.constantFrom(...VALUES).chain(([signature, value]) => value.map(each => [signature, each] as const)),
		{maxLength: 8},
	);
	fc.assert(
		fc.property(some, entries => {
			const signature = entries.map(([type]) => type).join('');
			const values = entries.map(([, value]) => value);
			t.deepEqual(new DbusReader(new DbusWriter().all(signature, values).finish()).all(signature), values);
			t.deepEqual(
				splitSignature(signature),
				entries.map(([type]) => type),
			);
		}),
	);
});

test('a message that is cut or changed anywhere is waited for, refused or read, and never more than that', t => {
	fc.assert(
		fc.property(fc.nat(SD_BUS_CALL.length - 1), fc.nat(255), fc.nat(SD_BUS_CALL.length), (at, byte, length) => {
			const changed = Buffer.from(SD_BUS_CALL);
			changed.writeUInt8(byte, at);
			try {
				const taken = takeMessage(changed.subarray(0, length));
				t.true(taken === null || taken.length <= length);
			} catch (error) {
				t.true(error instanceof CorruptError || error instanceof RangeError, String(error));
			}
		}),
		{numRuns: 3000},
	);
});

for (const signalsFirst of [false, true]) {
	test(`a scope is made, and its job waited for, whose end is told ${signalsFirst ? 'before' : 'after'} the reply`, async t => {
		const {fake, units} = await setUp(t);
		fake.signalsFirst = signalsFirst;
		await units.startScope(SCOPE);
		t.deepEqual(fake.units.get('berth-1.scope')?.properties, {
			Description: 'a pod',
			Slice: 'kubepods.slice',
			PIDs: [17, 18],
			Delegate: true,
			DefaultDependencies: false,
			CollectMode: 'inactive-or-failed',
		});
		await units.stop('berth-1.scope');
		t.deepEqual([...fake.units], []);
		t.deepEqual(fake.calls, [
			'Hello',
			"AddMatch type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
			'Subscribe',
			'StartTransientUnit berth-1.scope',
			'StopUnit berth-1.scope',
			'ResetFailedUnit berth-1.scope',
		]);
	});
}

test('a scope that is there, and one that is gone, are success', async t => {
	const {fake, units} = await setUp(t);
	fake.errors.set('StartTransientUnit', 'org.freedesktop.systemd1.UnitExists');
	await t.notThrowsAsync(units.startScope(SCOPE));
	await t.notThrowsAsync(units.stop('berth-none.scope'));
});

test('what systemd refuses, and a job that fails, are errors with its words', async t => {
	const {fake, units} = await setUp(t);
	fake.errors.set('SetUnitProperties', 'org.freedesktop.DBus.Error.InvalidArgs');
	await t.throwsAsync(units.setProperties('a.scope', [['MemoryMax', 't', 5n]]), {instanceOf: FailedError, message: 'SetUnitProperties is refused'});
	fake.result = 'failed';
	await t.throwsAsync(units.startScope(SCOPE), {instanceOf: FailedError, message: /StartTransientUnit of berth-1\.scope: the job ended with "failed"/});
});

test('a bus that was restarted is connected to anew; a call in flight fails', async t => {
	const {fake, units} = await setUp(t);
	await units.connect();
	fake.hangUp();
	// The end of the connection may not have been heard of yet: that call fails, and no other.
	await units.startScope(SCOPE).catch(async (error: unknown) => {
		t.true(error instanceof UnavailableError);
		await units.startScope(SCOPE);
	});
	t.true(fake.units.has('berth-1.scope'));
	t.is(fake.calls.filter(call => call === 'Hello').length, 2);
});

test('no bus, and one that does not let us in, are said', async t => {
	const {fake, units, path} = await setUp(t);
	await t.throwsAsync(new SystemdUnits(`${path}-none`, systemClock).connect(), {instanceOf: UnavailableError, message: /bus-none is gone: .*ENOENT/});
	fake.refusesAuthentication = true;
	await t.throwsAsync(units.connect(), {instanceOf: UnavailableError, message: /does not let uid \d+ in: REJECTED/});
});

test('a call that systemd, or the bus itself, does not answer ends, and the next one is served', async t => {
	const {fake, path} = await setUp(t);
	let patienceMs = 60_000;
	const units = new SystemdUnits(path, {...systemClock, sleep: (ms, signal) => systemClock.sleep(ms === CALL_TIMEOUT_MS ? patienceMs : ms, signal)});
	t.teardown(() => units.close());
	await units.connect();
	for (const member of ['StopUnit', 'SetUnitProperties']) {
		fake.unanswered.add(member);
		patienceMs = 20;
		const call = member === 'StopUnit' ? units.stop('a.scope') : units.setProperties('a.scope', []);
		await t.throwsAsync(call, {instanceOf: TimedOutError, message: new RegExp(`did not answer ${member}`)});
	}
	fake.unanswered.add('Hello');
	await t.throwsAsync(new SystemdUnits(path, {...systemClock, sleep: (_ms, signal) => systemClock.sleep(20, signal)}).connect(), {instanceOf: TimedOutError});
	fake.unanswered.clear();
	patienceMs = 60_000;
	await t.notThrowsAsync(units.stop('a.scope'));
});

test('calls at once after the bus was restarted share one connection', async t => {
	const {fake, units} = await setUp(t);
	await units.connect();
	fake.hangUp();
	await systemClock.sleep(50);
	await Promise.allSettled([units.connect(), units.connect(), units.connect()]);
	await units.connect();
	t.is(fake.calls.filter(call => call === 'Hello').length, 2);
});

test('encodeMessage pads its header, so that a body may follow', t => {
	const empty = {path: '', interface: '', member: '', errorName: '', replySerial: 0, destination: '', signature: '', body: []};
	for (const member of ['a', 'ab', 'abc', 'abcdefgh']) {
		const bytes = encodeMessage({...empty, type: 1, serial: 1, member});
		t.is(bytes.length % 8, 0);
		t.is(takeMessage(bytes)?.message.member, member);
	}
});
