import test from 'ava';
import {SharedSync} from './shared-sync.js';

/** A sync that the test ends. */
function manualSync() {
	const started: {readonly end: () => void; readonly fail: (error: Error) => void}[] = [];
	const sync = new SharedSync(
		async () =>
			await new Promise<void>((resolve, reject) => {
				started.push({end: resolve, fail: reject});
			}),
	);
	return {sync, started};
}
const turn = async (): Promise<void> => await new Promise(resolve => setImmediate(resolve));

test('SharedSync gives everyone a sync that began after the call, and shares it', async t => {
	const {sync, started} = manualSync();
	const first = sync.run();
	await turn();
	t.is(started.length, 1);
	let secondDone = false;
	const second = Promise.all([sync.run(), sync.run(), sync.run()]).then(() => {
		secondDone = true;
	});
	await turn();
	t.is(started.length, 1, 'the next sync waits for the one under way');
	started[0]?.end();
	await first;
	await turn();
	t.is(started.length, 2);
	t.false(secondDone, 'the first sync does not count for those who came after its begin');
	started[1]?.end();
	await second;
	t.is(started.length, 2);
});

test('SharedSync tells a failure to its own callers only', async t => {
	const {sync, started} = manualSync();
	const first = sync.run();
	await turn();
	const second = sync.run();
	started[0]?.fail(new Error('EIO'));
	await t.throwsAsync(first, {message: 'EIO'});
	await turn();
	started[1]?.end();
	await t.notThrowsAsync(second);
});
