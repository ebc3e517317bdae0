import test from 'ava';
import fc from 'fast-check';
import type {ResourceFacts} from '../sandbox/record.js';
import {mergeResources, sumResources, toChanged} from './merge.js';
import {NO_RESOURCES} from './resources.js';

const facts = (changes: Partial<ResourceFacts>): ResourceFacts => ({...NO_RESOURCES, ...changes});

test('an update that says nothing changes nothing', t => {
	const some = facts({cpuShares: 5n, cpusetCpus: '0', unified: {'memory.high': '1'}, hugepageLimits: [{pageSize: '2MB', limitBytes: 0n}]});
	t.deepEqual(mergeResources(some, NO_RESOURCES), some);
	t.deepEqual(mergeResources(NO_RESOURCES, some), some);
});

test('huge pages are merged by page size, unified keys by name', t => {
	const before = facts({
		hugepageLimits: [
			{pageSize: '2MB', limitBytes: 1n},
			{pageSize: '1GB', limitBytes: 2n},
		],
		unified: {a: '1', b: '2'},
	});
	const merged = mergeResources(before, facts({hugepageLimits: [{pageSize: '2MB', limitBytes: 3n}], unified: {b: '3'}}));
	t.deepEqual(merged.hugepageLimits, [
		{pageSize: '1GB', limitBytes: 2n},
		{pageSize: '2MB', limitBytes: 3n},
	]);
	t.deepEqual(merged.unified, {a: '1', b: '3'});
});

test('what belongs together is written together, and nothing besides', t => {
	const before = facts({cpuPeriodUs: 50_000n, cpuQuotaUs: 10_000n, cpuShares: 9n, memorySwapLimitBytes: 7n, memoryLimitBytes: 6n});
	const changed = (changes: Partial<ResourceFacts>): ResourceFacts => toChanged(mergeResources(before, facts(changes)), facts(changes));
	t.deepEqual(changed({cpuQuotaUs: 20_000n}), facts({cpuQuotaUs: 20_000n, cpuPeriodUs: 50_000n}));
	t.deepEqual(changed({memoryLimitBytes: 5n}), facts({memoryLimitBytes: 5n, memorySwapLimitBytes: 7n}));
	t.deepEqual(changed({cpuShares: 3n}), facts({cpuShares: 3n}));
});

test('a sum has no limit that the containers do not have, and is never below what they have', t => {
	const limit = fc.bigInt({min: -1n, max: 1n << 40n});
	fc.assert(
		fc.property(limit, limit, limit, limit, (cpuQuotaUs, memoryLimitBytes, overheadQuotaUs, overheadBytes) => {
			const sum = sumResources(
				facts({cpuQuotaUs, cpuPeriodUs: 50_000n, memoryLimitBytes}),
				facts({cpuQuotaUs: overheadQuotaUs, cpuPeriodUs: 100_000n, memoryLimitBytes: overheadBytes}),
			);
			t.is(sum.cpuQuotaUs > 0n, cpuQuotaUs > 0n);
			t.is(sum.memoryLimitBytes > 0n, memoryLimitBytes > 0n);
			t.true(sum.memoryLimitBytes >= memoryLimitBytes && sum.cpuQuotaUs >= cpuQuotaUs);
		}),
	);
	const both = sumResources(
		facts({cpuQuotaUs: 50_000n, cpuPeriodUs: 100_000n, cpuShares: 10n}),
		facts({cpuQuotaUs: 10_000n, cpuPeriodUs: 50_000n, cpuShares: 5n}),
	);
	t.like(both, {cpuQuotaUs: 70_000n, cpuPeriodUs: 100_000n, cpuShares: 15n});
});
