import test from 'ava';
import {systemClock} from '../../base/clock.js';
import {StallError} from './failure.js';
import {collectAll} from './fake-server.js';
import {watch} from './watch.js';

/** Each piece after its pause; `undefined` for ever. */
async function* pieces(bytes: readonly number[], pauseMs: number, aborted: AbortSignal): AsyncGenerator<Uint8Array> {
	for (const length of bytes) {
		await systemClock.sleep(pauseMs, aborted);
		if (aborted.aborted) throw aborted.reason;
		yield new Uint8Array(length);
	}
}

test('a body that is slow but steady passes', async t => {
	const abort = new AbortController();
	const pace = {stallTimeoutMs: 2000, minBytesPerSecond: 1};
	const body = watch(pieces([9, 9, 9, 9, 9, 9], 100, abort.signal), pace, systemClock, error => abort.abort(error));
	t.is((await collectAll(body)).length, 54);
	t.false(abort.signal.aborted);
});

test('no byte for the time-out is a stall', async t => {
	const abort = new AbortController();
	const pace = {stallTimeoutMs: 100, minBytesPerSecond: 0};
	const body = watch(pieces([1], 60_000, abort.signal), pace, systemClock, error => abort.abort(error));
	await t.throwsAsync(collectAll(body), {instanceOf: StallError, message: 'stalls: no byte for 100 ms'});
	t.true(abort.signal.aborted);
});

test('a trickle below the floor is a stall, though each byte is in time', async t => {
	const abort = new AbortController();
	const pace = {stallTimeoutMs: 500, minBytesPerSecond: 1_000_000};
	const body = watch(
		pieces(
			Array.from({length: 1000}, () => 1),
			20,
			abort.signal,
		),
		pace,
		systemClock,
		error => abort.abort(error),
	);
	await t.throwsAsync(collectAll(body), {instanceOf: StallError, message: /fewer than 1000000 a second/});
});

test('a slow consumer is no stall', async t => {
	const abort = new AbortController();
	const pace = {stallTimeoutMs: 200, minBytesPerSecond: 1000};
	let received = 0;
	for await (const piece of watch(pieces([5, 5, 5], 0, abort.signal), pace, systemClock, error => abort.abort(error))) {
		received += piece.length;
		await systemClock.sleep(600);
	}
	t.is(received, 15);
	t.false(abort.signal.aborted);
});
