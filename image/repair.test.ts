import test from 'ava';
import type {Clock} from '../base/clock.js';
import {silentLog} from '../base/log.js';
import type {ImageRecord} from './image.js';
import {Repairs} from './repair.js';

const record = (id: string): ImageRecord => ({id, repoTags: [], repoDigests: []}) as unknown as ImageRecord;
/** Waits are over at once, and counted. */
function countingClock(): Clock & {waits: number} {
	return {
		waits: 0,
		nowNs: () => 0n,
		monotonicMs: () => 0,
		async sleep() {
			this.waits++;
		},
	};
}

test('Repairs tries again until it works, and leaves what is no longer needed', async t => {
	const calls: string[] = [];
	const clock = countingClock();
	const {promise: done, resolve} = Promise.withResolvers<void>();
	const repairs = new Repairs({
		repair: async ({id}) => {
			calls.push(id);
			if (id === 'a' && calls.filter(call => call === 'a').length < 3) throw new Error('no registry yet');
			if (id === 'a') resolve();
		},
		isNeeded: ({id}) => id !== 'c',
		clock,
		log: silentLog,
	});
	repairs.start([record('a'), record('b'), record('c')]);
	await done;
	await repairs.close();
	t.deepEqual(calls, ['a', 'b', 'a', 'a']);
	t.is(clock.waits, 2);
});

test('Repairs gives up some day, and close() ends one under way', async t => {
	let attempts = 0;
	const {promise: ended, resolve: end} = Promise.withResolvers<void>();
	const failing = new Repairs({
		repair: async () => {
			if (++attempts === 30) end();
			throw new Error('gone for good');
		},
		isNeeded: () => true,
		clock: countingClock(),
		log: silentLog,
	});
	failing.start([record('a')]);
	await ended;
	await failing.close();
	t.is(attempts, 30);
	const {promise: started, resolve} = Promise.withResolvers<void>();
	const hanging = new Repairs({
		repair: async (_record, signal) => {
			resolve();
			await new Promise<void>((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
		},
		isNeeded: () => true,
		clock: countingClock(),
		log: silentLog,
	});
	hanging.start([record('a')]);
	await started;
	await t.notThrowsAsync(hanging.close());
});
