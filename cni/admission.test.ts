import test from 'ava';
import {systemClock} from '../base/clock.js';
import {CancelledError} from '../base/errors.js';
import {Admission} from './admission.js';

/** Work that ends when told to. */
function gate() {
	const {promise, resolve} = Promise.withResolvers<void>();
	return {promise, open: resolve};
}

test('Admission runs at most its limit at once, first come first served', async t => {
	const admission = new Admission(2);
	const gates = [gate(), gate(), gate(), gate()];
	const begun: number[] = [];
	const all = gates.map((entry, index) => admission.run(null, async () => (begun.push(index), await entry.promise)));
	await systemClock.sleep(1);
	t.deepEqual(begun, [0, 1]);
	gates[1]!.open();
	await all[1];
	await systemClock.sleep(1);
	t.deepEqual(begun, [0, 1, 2]);
	gates[0]!.open();
	gates[2]!.open();
	gates[3]!.open();
	await Promise.all(all);
	t.deepEqual(begun, [0, 1, 2, 3]);
});

test('Admission forgets who gave up waiting, and failing work gives its place back', async t => {
	const admission = new Admission(1);
	const first = gate();
	const running = admission.run(null, async () => {
		await first.promise;
		throw new Error('work');
	});
	const abort = new AbortController();
	let ran = false;
	const waiting = admission.run(abort.signal, async () => void (ran = true));
	abort.abort();
	await t.throwsAsync(waiting, {instanceOf: CancelledError});
	first.open();
	await t.throwsAsync(running, {message: 'work'});
	t.is(await admission.run(null, async () => 7), 7);
	t.false(ran);
	await t.throwsAsync(
		admission.run(AbortSignal.abort(), async () => 0),
		{instanceOf: CancelledError},
	);
});
