import test from 'ava';
import {CpuSamples} from './cpu-samples.js';
import {parseCpuUsage, parseLimit, parseMemory, parseNumber, parseSwap} from './parse.js';

const V1_STAT =
	'cache 9347072\nrss 1\ninactive_file 12288\npgfault 5\nhierarchical_memory_limit 9223372036854771712\ntotal_rss 20185088\ntotal_swap 4096\ntotal_pgfault 12951213\ntotal_pgmajfault 3486\ntotal_inactive_file 74686464\n';
const V2_STAT = 'anon 1048576\nfile 2097152\ninactive_file 524288\nactive_file 1572864\npgfault 77\npgmajfault 3\n';

for (const [text, number] of [
	['42\n', 42n],
	['0\n', 0n],
	['max\n', null],
	['', null],
	['-1\n', null],
	[null, null],
] as const) {
	test(`parseNumber(${JSON.stringify(text)}) is ${number}`, t => t.is(parseNumber(text), number));
}

for (const [text, limit] of [
	['104857600\n', 104_857_600n],
	['9223372036854771712\n', null],
	['max\n', null],
	[null, null],
] as const) {
	test(`parseLimit(${JSON.stringify(text)}) is ${limit}`, t => t.is(parseLimit(text), limit));
}

test('parseCpuUsage reads ns of v1 and µs of v2', t => {
	t.is(parseCpuUsage('v1', '123456789\n'), 123_456_789n);
	t.is(parseCpuUsage('v2', 'usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n'), 1_500_000n);
	t.is(parseCpuUsage('v2', 'nr_periods 0\n'), null);
	t.is(parseCpuUsage('v1', null), null);
});

test('parseMemory of v1 takes the sums over children, and the working set leaves inactive file pages out', t => {
	const files = {usage: '204800000\n', stat: V1_STAT, limit: '209715200\n', swapLimit: '314572800\n', swapUsage: null};
	t.deepEqual(parseMemory('v1', files), {
		usageBytes: 204_800_000n,
		workingSetBytes: 204_800_000n - 74_686_464n,
		availableBytes: 209_715_200n - (204_800_000n - 74_686_464n),
		rssBytes: 20_185_088n,
		pageFaults: 12_951_213n,
		majorPageFaults: 3486n,
		limitBytes: 209_715_200n,
	});
	t.deepEqual(parseSwap('v1', files), {usageBytes: 4096n, availableBytes: 314_572_800n - 209_715_200n - 4096n});
});

test('parseMemory of v2', t => {
	const files = {usage: '3145728\n', stat: V2_STAT, limit: 'max\n', swapLimit: '8192\n', swapUsage: '4096\n'};
	t.deepEqual(parseMemory('v2', files), {
		usageBytes: 3_145_728n,
		workingSetBytes: 2_621_440n,
		availableBytes: null,
		rssBytes: 1_048_576n,
		pageFaults: 77n,
		majorPageFaults: 3n,
		limitBytes: null,
	});
	t.deepEqual(parseSwap('v2', files), {usageBytes: 4096n, availableBytes: 4096n});
});

test('a working set is never negative: the counters are not read at one instant', t => {
	const memory = parseMemory('v2', {usage: '1000\n', stat: 'inactive_file 4096\n', limit: null, swapLimit: null, swapUsage: null});
	t.is(memory?.workingSetBytes, 0n);
});

test('memory and swap without their files are null', t => {
	const none = {usage: null, stat: null, limit: null, swapLimit: null, swapUsage: null};
	t.is(parseMemory('v1', none), null);
	t.is(parseSwap('v1', none), null);
	t.is(parseSwap('v2', none), null);
});

test('CpuSamples gives a rate from the second sample on', t => {
	const samples = new CpuSamples();
	t.is(samples.take('a', 0n, 0n), null);
	t.is(samples.take('a', 500_000_000n, 1_000_000_000n), 500_000_000n);
	// Too close to the one before: its rate stands.
	t.is(samples.take('a', 599_000_000n, 1_050_000_000n), 500_000_000n);
	t.is(samples.take('a', 2_500_000_000n, 2_000_000_000n), 2_000_000_000n);
	// A new cgroup of the same name counts from zero.
	t.is(samples.take('a', 1n, 3_000_000_000n), null);
});

test('CpuSamples forgets containers that nobody asked about for ten minutes', t => {
	const samples = new CpuSamples();
	samples.take('gone', 1n, 0n);
	samples.take('here', 1n, 500_000_000_000n);
	t.is(samples.size, 2);
	samples.take('here', 2n, 601_000_000_000n);
	t.is(samples.size, 1);
});
