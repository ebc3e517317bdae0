import test from 'ava';
import {findStat, parseCpuUsage, parseLimit, parseMemory, parseNetDev, parseNumber, parsePressure, parseSwap} from './parse.js';

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

for (const [key, value] of [
	['cache', 9_347_072n],
	['rss', 1n],
	['inactive_file', 12_288n],
	['total_inactive_file', 74_686_464n],
	['file', null],
	['total', null],
	['', null],
] as const) {
	test(`findStat finds the key "${key}" as a whole: ${value}`, t => t.is(findStat(V1_STAT, key), value));
}

test('findStat: first line, last line without an end, a value that is no number, no text', t => {
	t.is(findStat('a 1\nab 2\nb 3', 'a'), 1n);
	t.is(findStat('a 1\nab 2\nb 3', 'b'), 3n);
	t.is(findStat('ab 2\na 1\n', 'a'), 1n);
	t.is(findStat('a x\n', 'a'), null);
	t.is(findStat('', 'a'), null);
	t.is(findStat(null, 'a'), null);
});

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

test('parsePressure reads both lines, in ns; an old kernel has no line "full" for the CPU', t => {
	const some = 'some avg10=1.38 avg60=5.22 avg300=4.45 total=3491982665\n';
	const line = {totalNs: 3_491_982_665_000n, avg10: 1.38, avg60: 5.22, avg300: 4.45};
	t.deepEqual(parsePressure(`${some}full avg10=0.00 avg60=0.10 avg300=0.00 total=12\n`), {
		some: line,
		full: {totalNs: 12_000n, avg10: 0, avg60: 0.1, avg300: 0},
	});
	t.deepEqual(parsePressure(some), {some: line, full: {totalNs: 0n, avg10: 0, avg60: 0, avg300: 0}});
	t.is(parsePressure(''), null);
	t.is(parsePressure(null), null);
});

const NET_DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 117588147242 3858018    0    0    0     0          0         0 117588147242 3858018    0    0    0     0       0          0
  eth0: 2153573074   67908    1    2    0     0          0         0  6048580   49745    3    4    0     0       0          0
verylongname123:18446744073709551615       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
`;

test('parseNetDev reads every interface but lo, however long its name and numbers', t => {
	const [eth0, long, ...rest] = parseNetDev(NET_DEV);
	t.deepEqual(eth0, {
		name: 'eth0',
		rx: {bytes: 2_153_573_074n, packets: 67_908n, errors: 1n, dropped: 2n},
		tx: {bytes: 6_048_580n, packets: 49_745n, errors: 3n, dropped: 4n},
	});
	t.like(long, {name: 'verylongname123', rx: {bytes: 18_446_744_073_709_551_615n}});
	t.deepEqual(rest, []);
});

test('parseNetDev passes over a last line that was cut', t => {
	t.deepEqual(
		parseNetDev(NET_DEV.slice(0, NET_DEV.indexOf('6048580') + 3)).map(({name}) => name),
		[],
	);
	t.deepEqual(parseNetDev(''), []);
});
