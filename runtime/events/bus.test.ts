import test from 'ava';
import {systemClock} from '../../base/clock.js';
import {containerRecord, sandboxRecord} from '../fake-records.js';
import type {AnyRecord} from '../state/codec.js';
import {StateStore} from '../state/store.js';
import {type ContainerEvent, type ContainerFact, EventBus, KEEP_MS, MAX_KEPT} from './bus.js';
import {type EventStream, MAX_WAITING} from './stream.js';

const sandbox = sandboxRecord('web');
const created = containerRecord('created', sandbox);
const {signal} = new AbortController();

function busWith(records: readonly AnyRecord[] = [sandbox]) {
	let nowMs = 0;
	const state = new StateStore(async () => {}, records);
	const clock = {...systemClock, monotonicMs: () => nowMs};
	return {bus: new EventBus(state, clock), state, pass: (ms: number) => void (nowMs += ms)};
}

function fact(number: number): ContainerFact {
	return {containerId: `c${number}`, sandboxId: sandbox.id, kind: 'stopped'};
}

async function take(stream: EventStream, count: number): Promise<readonly string[]> {
	const ids: string[] = [];
	for (let index = 0; index < count; index++) ids.push((await stream.next(signal))?.containerId ?? 'end');
	return ids;
}

/** What waits now, and no more. */
async function drain(stream: EventStream): Promise<readonly ContainerEvent[]> {
	const stop = new AbortController();
	const events: ContainerEvent[] = [];
	queueMicrotask(() => setImmediate(() => stop.abort()));
	try {
		for (;;) {
			const event = await stream.next(stop.signal);
			if (event === null) return events;
			events.push(event);
		}
	} catch {
		return events;
	}
}

test('every client gets every event, in order, whether it waits or comes for it later', async t => {
	const {bus} = busWith();
	const [waiting, late] = [bus.open(), bus.open()];
	const first = waiting.next(signal);
	for (let number = 0; number < 100; number++) bus.publish(fact(number));
	const all = Array.from({length: 100}, (_, number) => `c${number}`);
	t.deepEqual([(await first)?.containerId, ...(await take(waiting, 99))], all);
	t.deepEqual(await take(late, 100), all);
});

test('times rise from event to event; an event has the pod as it was then, without what is still being created', async t => {
	const creating = containerRecord('creating', sandbox);
	const {bus, state} = busWith([sandbox, created, {...creating, id: 'half-made', state: {phase: 'creating'}}]);
	const stream = bus.open();
	bus.publish({containerId: created.id, sandboxId: sandbox.id, kind: 'created'});
	await state.put({...created, state: {phase: 'running', startedAtNs: 5n}});
	bus.publish({containerId: created.id, sandboxId: sandbox.id, kind: 'started'});
	const [before, after] = [await stream.next(signal), await stream.next(signal)];
	t.deepEqual(
		before?.containers.map(({id, state: {phase}}) => [id, phase]),
		[[created.id, created.state.phase]],
	);
	t.deepEqual(
		after?.containers.map(({state: {phase}}) => phase),
		['running'],
	);
	t.is(before?.sandbox, state.sandbox(sandbox.id));
	t.true(after!.atNs > before!.atNs);
});

test('the removal of a pod sandbox has its last record', async t => {
	const {bus} = busWith([]);
	const stream = bus.open();
	bus.publish({containerId: sandbox.id, sandboxId: sandbox.id, kind: 'deleted', removed: sandbox});
	t.is((await stream.next(signal))?.sandbox, sandbox);
});

test('what happened while nobody listened comes to every client that connects in time, first', async t => {
	const {bus, pass} = busWith();
	bus.publish(fact(0));
	pass(KEEP_MS / 2);
	bus.publish(fact(1));
	const [first, second] = [bus.open(), bus.open()];
	bus.publish(fact(2));
	t.deepEqual(await take(first, 3), ['c0', 'c1', 'c2']);
	t.deepEqual(await take(second, 3), ['c0', 'c1', 'c2']);
	first.end();
	second.end();
	pass(KEEP_MS / 2);
	t.deepEqual(
		(await drain(bus.open())).map(({containerId}) => containerId),
		['c1'],
		'c0 is too old, c2 was taken',
	);
});

test('what a client did not take before it went comes to the next one', async t => {
	const {bus} = busWith();
	const gone = bus.open();
	for (let number = 0; number < 3; number++) bus.publish(fact(number));
	await take(gone, 1);
	gone.end();
	t.deepEqual(
		(await drain(bus.open())).map(({containerId}) => containerId),
		['c1', 'c2'],
	);
});

test('of what nobody takes the newest are kept, and no more than the bound', async t => {
	const {bus} = busWith();
	for (let number = 0; number < MAX_KEPT + 10; number++) bus.publish(fact(number));
	const events = await drain(bus.open());
	t.is(events.length, MAX_KEPT);
	t.is(events[0]?.containerId, 'c10');
	t.is(events.at(-1)?.containerId, `c${MAX_KEPT + 9}`);
});

test('a client that is too slow loses its stream with RESOURCE_EXHAUSTED, the others lose nothing', async t => {
	const {bus} = busWith();
	const [slow, quick] = [bus.open(), bus.open()];
	for (let number = 0; number <= MAX_WAITING; number++) {
		bus.publish(fact(number));
		t.is((await quick.next(signal))?.containerId, `c${number}`);
	}
	await t.throwsAsync(slow.next(signal), {code: 'RESOURCE_EXHAUSTED', message: /read too slowly/});
	bus.publish(fact(7));
	await t.throwsAsync(slow.next(signal), {code: 'RESOURCE_EXHAUSTED'}, 'it stays told');
	t.is((await quick.next(signal))?.containerId, 'c7');
});

test('only so many clients listen at once, and one that ends makes room', t => {
	const {bus} = busWith();
	const streams = Array.from({length: 64}, () => bus.open());
	t.throws(() => bus.open(), {code: 'RESOURCE_EXHAUSTED'});
	streams[0]!.end();
	t.notThrows(() => bus.open());
});

test('closing ends a stream after what it has; a client that leaves is let go', async t => {
	const {bus} = busWith();
	const stream = bus.open();
	bus.publish(fact(0));
	bus.close();
	t.deepEqual(await take(stream, 2), ['c0', 'end']);
	const other = bus.open();
	const leaving = new AbortController();
	const next = other.next(leaving.signal);
	leaving.abort();
	await t.throwsAsync(next, {code: 'CANCELLED'});
});
