import test, {type ExecutionContext} from 'ava';
import {silentLog} from '../../base/log.js';
import type {Clock} from '../../base/clock.js';
import type {TreeCount} from '../../native/native.js';
import {LayerCounter} from './layer-counter.js';

/** Time that only sleeps move. */
class FakeClock implements Clock {
	ms = 0;
	slept = 0;
	nowNs = (): bigint => BigInt(Math.round(this.ms)) * 1_000_000n;
	monotonicMs = (): number => this.ms;
	sleep = async (ms: number): Promise<void> => {
		this.ms += ms;
		this.slept += ms;
		await Promise.resolve();
	};
}

/** A kernel whose trees take `steps` steps of 5 ms each. */
function setUp(t: ExecutionContext) {
	const clock = new FakeClock();
	const walks: string[] = [];
	const trees = new Map<string, {bytes: number; inodes: number; steps: number}>();
	const quotas = new Map<number, {bytes: number; inodes: number}>();
	let quotaReads = 0;
	const kernel = {
		openTreeMeter: (path: string) => {
			walks.push(path);
			let step = 0;
			return {
				step: async (): Promise<TreeCount> => {
					clock.ms += 5;
					step++;
					const tree = trees.get(path);
					if (tree === undefined) throw new Error(`EIO ${path}`);
					return {bytes: tree.bytes, inodes: tree.inodes, done: step >= tree.steps};
				},
			};
		},
		projectUsages: async (_: string, ids: readonly number[]) => {
			quotaReads++;
			return ids.map(id => quotas.get(id) ?? {bytes: 0, inodes: 0});
		},
	};
	const counter = new LayerCounter({dir: '/layers', kernel, clock, log: silentLog});
	t.teardown(() => counter.close());
	/** Lets the count that is under way come to its end. */
	const settle = async (): Promise<void> => {
		for (let i = 0; i < 1000; i++) await Promise.resolve();
	};
	const usage = async (key: string) => (await counter.usages([key])).get(key);
	return {clock, walks, trees, quotas, counter, settle, usage, quotaReads: () => quotaReads};
}
const walked = (path: string) => ({path, projectId: null});

test('a new layer is empty at once; a call never waits for a count, and tells when it was', async t => {
	const {clock, trees, counter, settle, usage} = setUp(t);
	clock.ms = 1000;
	counter.add('a', walked('/a'), true);
	trees.set('/a', {bytes: 5000, inodes: 3, steps: 2});
	t.deepEqual(await usage('a'), {bytes: 8192, inodes: 2, countedAtNs: 1_000_000_000n});
	await settle();
	// When the walk began, before the two steps.
	t.deepEqual(await usage('a'), {bytes: 5000, inodes: 3, countedAtNs: 1_000_000_000n});
	t.deepEqual(counter.total(), {bytes: 5000, inodes: 3});
});

test('what an earlier daemon left is not told before it was counted', async t => {
	const {trees, counter, settle, usage} = setUp(t);
	counter.add('a', walked('/a'), false);
	trees.set('/a', {bytes: 5000, inodes: 3, steps: 1});
	t.is(await usage('a'), undefined);
	await settle();
	t.like(await usage('a'), {bytes: 5000, inodes: 3});
	t.is(await usage('unknown'), undefined);
});

test('a count rests nine times as long as it works, and a layer is counted at most every ten seconds', async t => {
	const {clock, walks, trees, counter, settle, usage} = setUp(t);
	counter.add('a', walked('/a'), true);
	trees.set('/a', {bytes: 1, inodes: 1, steps: 20});
	await usage('a');
	await settle();
	t.is(clock.slept, 20 * 5 * 9);
	for (let i = 0; i < 5; i++) await usage('a');
	await settle();
	t.deepEqual(walks, ['/a']);
	clock.ms += 10_000;
	await usage('a');
	await settle();
	t.deepEqual(walks, ['/a', '/a']);
});

test('the one that was counted longest ago is next, and what nobody asks about is not counted', async t => {
	const {clock, walks, trees, counter, settle} = setUp(t);
	for (const key of ['a', 'b', 'c']) {
		counter.add(key, walked(`/${key}`), true);
		trees.set(`/${key}`, {bytes: 1, inodes: 1, steps: 1});
	}
	await counter.usages(['b']);
	await settle();
	t.deepEqual(walks, ['/b']);
	clock.ms += 11_000;
	await counter.usages(['a', 'b']);
	await settle();
	t.deepEqual(walks, ['/b', '/a', '/b']);
	clock.ms += 11_000;
	counter.total();
	await settle();
	t.deepEqual(walks.slice(3), ['/c', '/a', '/b']);
});

test('a failed count leaves the one before, with its time, and the others are counted', async t => {
	const {clock, trees, counter, settle, usage} = setUp(t);
	for (const key of ['a', 'b']) counter.add(key, walked(`/${key}`), true);
	trees.set('/b', {bytes: 7, inodes: 1, steps: 1});
	clock.ms = 5000;
	await counter.usages(['a', 'b']);
	await settle();
	t.deepEqual(await usage('a'), {bytes: 8192, inodes: 2, countedAtNs: 0n});
	t.like(await usage('b'), {bytes: 7});
});

test('a layer that is removed while it is counted leaves nothing behind', async t => {
	const {trees, counter, settle, usage} = setUp(t);
	counter.add('a', walked('/a'), true);
	trees.set('/a', {bytes: 9000, inodes: 5, steps: 3});
	await usage('a');
	counter.remove('a');
	await settle();
	t.deepEqual(counter.total(), {bytes: 0, inodes: 0});
	t.is(await usage('a'), undefined);
});

test('close ends a count that is under way', async t => {
	const {clock, trees, counter, usage} = setUp(t);
	counter.add('a', walked('/a'), true);
	trees.set('/a', {bytes: 1, inodes: 1, steps: Number.POSITIVE_INFINITY});
	await usage('a');
	await counter.close();
	const {slept} = clock;
	await usage('a');
	t.is(clock.slept, slept);
});

test('where the filesystem counts, a call has its count of now, for all layers in one native call', async t => {
	const {clock, quotas, trees, counter, settle, usage, quotaReads} = setUp(t);
	for (const [index, key] of ['a', 'b'].entries()) {
		counter.add(key, {path: `/${key}`, projectId: 10 + index}, false);
		trees.set(`/${key}`, {bytes: 100, inodes: 1, steps: 1});
	}
	quotas.set(10, {bytes: 100, inodes: 1}).set(11, {bytes: 200, inodes: 2});
	clock.ms = 3000;
	const reading = counter.usages(['a', 'b']);
	t.is(quotaReads(), 1);
	const usages = await reading;
	t.is(usages.get('a')?.bytes, 100);
	t.is(usages.get('b')?.bytes, 200);
	await settle();
	quotas.set(10, {bytes: 4096, inodes: 2});
	clock.ms = 300_000;
	t.deepEqual(await usage('a'), {bytes: 4096, inodes: 2, countedAtNs: 300_000_000_000n});
});

test('what a container takes out of its project is found by a seldom walk and added', async t => {
	const {clock, quotas, walks, trees, counter, settle, usage} = setUp(t);
	counter.add('a', {path: '/a', projectId: 10}, true);
	quotas.set(10, {bytes: 1000, inodes: 2});
	trees.set('/a', {bytes: 51_000, inodes: 3, steps: 1});
	t.is((await usage('a'))?.bytes, 1000);
	await settle();
	t.like(await usage('a'), {bytes: 51_000, inodes: 3});
	quotas.set(10, {bytes: 3000, inodes: 4});
	t.like(await usage('a'), {bytes: 53_000, inodes: 5});
	clock.ms += 300_000;
	await usage('a');
	await settle();
	t.deepEqual(walks, ['/a']);
	clock.ms += 400_000;
	trees.set('/a', {bytes: 3000, inodes: 4, steps: 1});
	await usage('a');
	await settle();
	t.like(await usage('a'), {bytes: 3000, inodes: 4});
});
