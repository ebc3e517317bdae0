import test from 'ava';
import fc from 'fast-check';
import {InvalidArgumentError} from '../../base/errors.js';
import type {CgroupPlan} from '../../native/native.js';
import type {ResourceFacts} from '../sandbox/record.js';
import {toCpuWeight} from './cpu.js';
import {DEFAULT_DEVICE_RULES, type DeviceRules} from './device-rules.js';
import {detectCgroups, type CgroupHierarchies} from './hierarchies.js';
import {toContainerCgroupPlan, toSandboxCgroupPlan} from './plan.js';
import {assertResources, NO_RESOURCES, toResourceFacts} from './resources.js';

const mount = (name: string): string => `34 31 0:31 / /c/${name} rw - cgroup cgroup rw,${name}\n`;
const V1 = detectCgroups(['cpu', 'cpuset', 'memory', 'devices', 'pids'].map(mount).join(''));
const V2 = detectCgroups('30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n');
const BARE = detectCgroups(mount('freezer'));

const facts = (changes: Partial<ResourceFacts>): ResourceFacts => ({...NO_RESOURCES, ...changes});
/** "file value" of the container's own files, `?` in front where not required. */
function lines(plan: CgroupPlan): string[] {
	return plan.writes
		.filter(({path}) => !path.endsWith('subtree_control') && !path.includes('devices.'))
		.map(({path, value, required}) => `${required ? '' : '?'}${path.slice(path.lastIndexOf('/') + 1)} ${value}`);
}
const planned = (hierarchies: CgroupHierarchies, changes: Partial<ResourceFacts>): string[] =>
	lines(toContainerCgroupPlan(hierarchies, '/p/c', facts(changes), 'all'));

for (const [what, changes, v1, v2] of [
	['nothing', {}, [], []],
	['shares', {cpuShares: 1024n}, ['cpu.shares 1024'], ['cpu.weight 100']],
	['a quota', {cpuQuotaUs: 50_000n}, ['cpu.cfs_period_us 100000', 'cpu.cfs_quota_us 50000'], ['cpu.max 50000 100000']],
	['no quota', {cpuQuotaUs: -1n, cpuPeriodUs: 50_000n}, ['cpu.cfs_period_us 50000', 'cpu.cfs_quota_us -1'], ['cpu.max max 50000']],
	[
		'memory',
		{memoryLimitBytes: 1_048_576n},
		['memory.limit_in_bytes 1048576', '?memory.memsw.limit_in_bytes 1048576'],
		['memory.max 1048576', '?memory.swap.max 0'],
	],
	[
		'memory and swap',
		{memoryLimitBytes: 1_048_576n, memorySwapLimitBytes: 3_145_728n},
		['memory.limit_in_bytes 1048576', '?memory.memsw.limit_in_bytes 3145728'],
		['memory.max 1048576', '?memory.swap.max 2097152'],
	],
	[
		'memory and any swap',
		{memoryLimitBytes: 1_048_576n, memorySwapLimitBytes: -1n},
		['memory.limit_in_bytes 1048576', '?memory.memsw.limit_in_bytes -1'],
		['memory.max 1048576', '?memory.swap.max max'],
	],
	['unlimited memory', {memoryLimitBytes: -1n}, ['memory.limit_in_bytes -1', '?memory.memsw.limit_in_bytes -1'], ['memory.max max', '?memory.swap.max max']],
	['cpusets', {cpusetCpus: '0-1,3', cpusetMems: '0'}, ['cpuset.cpus 0-1,3', 'cpuset.mems 0'], ['cpuset.cpus 0-1,3', 'cpuset.mems 0']],
	['pids.max', {unified: {'pids.max': '100'}}, ['pids.max 100'], ['pids.max 100']],
	['huge pages where v1 has no hugetlb', {hugepageLimits: [{pageSize: '2MB', limitBytes: 0n}]}, [], ['?hugetlb.2MB.max 0']],
] as const) {
	test(`a container with ${what}`, t => {
		t.deepEqual(planned(V1, changes), [...v1]);
		t.deepEqual(planned(V2, changes), [...v2]);
	});
}

test('unified keys go to their own file on v2, and are refused on v1', t => {
	const changes = {unified: {'memory.high': '1000000'}};
	t.deepEqual(planned(V2, changes), ['memory.high 1000000']);
	t.throws(() => planned(V1, changes), {instanceOf: InvalidArgumentError, message: 'unified key "memory.high" needs cgroup v2'});
});

test('huge pages on v1', t =>
	t.deepEqual(planned(detectCgroups(mount('hugetlb')), {hugepageLimits: [{pageSize: '1GB', limitBytes: 2n}]}), ['?hugetlb.1GB.limit_in_bytes 2']));

test('a limit whose controller is not mounted is refused, not passed over', t => {
	t.throws(() => planned(BARE, {cpuShares: 2n}), {instanceOf: InvalidArgumentError, message: 'cpu.shares is asked for, but the cpu controller is not mounted'});
});

for (const [changes, message] of [
	[{cpuQuotaUs: 999n}, 'cpu_quota 999 µs is below 1000'],
	[{cpuPeriodUs: 999n}, 'cpu_period 999 µs is not in 1000..1000000'],
	[{cpuPeriodUs: 1_000_001n}, 'cpu_period 1000001 µs is not in 1000..1000000'],
	[{cpuPeriodUs: -1n}, 'cpu_period -1 µs is not in 1000..1000000'],
	[{cpuShares: 1n}, 'cpu_shares 1 is not in 2..262144'],
	[{cpuShares: -5n}, 'cpu_shares -5 is not in 2..262144'],
	[{cpuShares: 262_145n}, 'cpu_shares 262145 is not in 2..262144'],
	[{memoryLimitBytes: 524_287n}, 'memory_limit_in_bytes 524287 is neither -1 nor at least 524288'],
	[{memoryLimitBytes: -2n}, 'memory_limit_in_bytes -2 is neither -1 nor at least 524288'],
	[{memorySwapLimitBytes: -2n}, 'memory_swap_limit_in_bytes -2 is below -1'],
	[{memorySwapLimitBytes: 1n}, 'memory_swap_limit_in_bytes 1 needs memory_limit_in_bytes'],
	[{memoryLimitBytes: 1_048_576n, memorySwapLimitBytes: 1_048_575n}, 'memory_swap_limit_in_bytes 1048575 is below memory_limit_in_bytes 1048576'],
	[{cpusetCpus: '0-'}, 'cpuset_cpus "0-" is not a list like 0-3,8'],
	[{cpusetCpus: '3-1'}, 'cpuset_cpus "3-1" is not a list like 0-3,8'],
	[{cpusetMems: '0\n1'}, 'cpuset_mems "0\n1" is not a list like 0-3,8'],
	[{hugepageLimits: [{pageSize: '2M', limitBytes: 1n}]}, 'hugepage_limits: page_size "2M" is not a size like 2MB'],
	[{hugepageLimits: [{pageSize: '../2MB', limitBytes: 1n}]}, 'hugepage_limits: page_size "../2MB" is not a size like 2MB'],
	[{hugepageLimits: [{pageSize: '2MB', limitBytes: -1n}]}, 'hugepage_limits: limit -1 of 2MB is negative'],
	[{oomScoreAdj: 1001}, 'oom_score_adj 1001 is not in -1000..1000'],
	[{oomScoreAdj: -1001}, 'oom_score_adj -1001 is not in -1000..1000'],
	[{unified: {'../memory.max': '1'}}, 'unified key "../memory.max" is not a controller\'s file like memory.high'],
	[{unified: {'cgroup.procs': '1'}}, 'unified key "cgroup.procs" is not a controller\'s file like memory.high'],
	[{unified: {memory: '1'}}, 'unified key "memory" is not a controller\'s file like memory.high'],
	[{unified: {'memory.max': '1\0'}}, 'unified value of memory.max holds a NUL byte'],
] as const) {
	test(`resources are refused: ${message.replaceAll('\n', '\\n').replaceAll('\0', '')}`, t => {
		t.throws(() => assertResources(facts(changes as Partial<ResourceFacts>)), {instanceOf: InvalidArgumentError, message});
	});
}

test('a container denies all devices first, then allows one by one; privileged is left alone', t => {
	const {writes} = toContainerCgroupPlan(V1, '/p/c', NO_RESOURCES, [...DEFAULT_DEVICE_RULES, {type: 'b', major: 8, minor: 1, access: 'r'}]);
	t.deepEqual(writes[0], {path: '/c/devices/p/c/devices.deny', value: 'a', required: true});
	t.deepEqual(
		writes.slice(1).map(({value}) => value),
		['c *:* m', 'b *:* m', 'c 1:3 rwm', 'c 1:5 rwm', 'c 1:7 rwm', 'c 1:8 rwm', 'c 1:9 rwm', 'c 5:0 rwm', 'c 5:1 rwm', 'c 5:2 rwm', 'c 136:* rwm', 'b 8:1 r'],
	);
	t.true(writes.slice(1).every(({path, required}) => path === '/c/devices/p/c/devices.allow' && required));
	t.deepEqual(toContainerCgroupPlan(V1, '/p/c', NO_RESOURCES, 'all').writes, []);
});

test('a container makes and joins one directory per hierarchy', t => {
	const plan = toContainerCgroupPlan(V1, '/p/c', NO_RESOURCES, 'all');
	t.deepEqual(plan.dirs, ['/c/cpu/p/c', '/c/cpuset/p/c', '/c/memory/p/c', '/c/devices/p/c', '/c/pids/p/c']);
	t.deepEqual(plan.join, plan.dirs);
});

test('on v2 every ancestor gives its controllers before limits are written', t => {
	const {writes} = toContainerCgroupPlan(V2, '/p/c', facts({cpuShares: 2n}), 'all');
	t.deepEqual([...new Set(writes.map(({path}) => path))], ['/c/cgroup.subtree_control', '/c/p/cgroup.subtree_control', '/c/p/c/cpu.weight']);
	t.true(writes.some(({path, value, required}) => path === '/c/p/cgroup.subtree_control' && value === '+memory' && !required));
});

test('a sandbox makes its ancestors, parents first, and joins nothing', t => {
	const plan = toSandboxCgroupPlan(V2, '/berth/pod-1', null);
	t.deepEqual(plan.dirs, ['/c/berth', '/c/berth/pod-1']);
	t.deepEqual(plan.join, []);
	t.deepEqual(toSandboxCgroupPlan(V1, '/berth/pod-1', null).writes, []);
	t.deepEqual(toSandboxCgroupPlan(V1, '/', null).dirs, []);
	t.deepEqual(lines(toSandboxCgroupPlan(V1, '/p', facts({cpuShares: 2n}))), ['cpu.shares 2']);
});

for (const [shares, weight] of [
	[2n, 1],
	[1024n, 100],
	[262_144n, 10_000],
	[3n, 2],
	[100n, 17],
	[2048n, 174],
] as const) {
	test(`toCpuWeight(${shares}) is ${weight}`, t => t.is(toCpuWeight(shares), weight));
}

test('toCpuWeight never falls as shares rise, and stays in 1..10000', t => {
	const shares = fc.bigInt({min: 2n, max: 262_144n});
	fc.assert(
		fc.property(shares, shares, (a, b) => {
			const [low, high] = a < b ? [a, b] : [b, a];
			return toCpuWeight(low) <= toCpuWeight(high) && toCpuWeight(low) >= 1 && toCpuWeight(high) <= 10_000;
		}),
	);
	t.pass();
});

test('what passes assertResources can be planned on v1 and v2', t => {
	const any = fc.record({
		cpuShares: fc.bigInt({min: -2n, max: 300_000n}),
		cpuQuotaUs: fc.bigInt({min: -2n, max: 2000n}),
		cpuPeriodUs: fc.bigInt({min: 0n, max: 1_100_000n}),
		memoryLimitBytes: fc.bigInt({min: -2n, max: 1n << 40n}),
		memorySwapLimitBytes: fc.bigInt({min: -2n, max: 1n << 41n}),
	});
	fc.assert(
		fc.property(any, changes => {
			const refused = (run: () => unknown): boolean => {
				try {
					run();
					return false;
				} catch (error) {
					if (error instanceof InvalidArgumentError) return true;
					throw error;
				}
			};
			const expected = refused(() => assertResources(facts(changes)));
			return refused(() => planned(V1, changes)) === expected && refused(() => planned(V2, changes)) === expected;
		}),
	);
	t.pass();
});

test('toResourceFacts keeps 64 bits', t => {
	t.is(toResourceFacts(null), NO_RESOURCES);
	const wire = {
		cpu_period: '100000',
		cpu_quota: '-1',
		cpu_shares: '2',
		memory_limit_in_bytes: '9223372036854775807',
		oom_score_adj: '-998',
		cpuset_cpus: '0',
		cpuset_mems: '',
		hugepage_limits: [{page_size: '2MB', limit: '18446744073709551615'}],
		unified: {'memory.high': 'max'},
		memory_swap_limit_in_bytes: '0',
	};
	t.deepEqual(toResourceFacts(wire), {
		cpuPeriodUs: 100_000n,
		cpuQuotaUs: -1n,
		cpuShares: 2n,
		memoryLimitBytes: 9_223_372_036_854_775_807n,
		memorySwapLimitBytes: 0n,
		oomScoreAdj: -998,
		cpusetCpus: '0',
		cpusetMems: '',
		hugepageLimits: [{pageSize: '2MB', limitBytes: 18_446_744_073_709_551_615n}],
		unified: {'memory.high': 'max'},
	});
});

test('where v1 has no devices controller the list is a program, for all but privileged containers', t => {
	const programs = (hierarchies: CgroupHierarchies, devices: DeviceRules) => toContainerCgroupPlan(hierarchies, '/p/c', NO_RESOURCES, devices).programs;
	t.like(programs(V2, DEFAULT_DEVICE_RULES), [{dir: '/c/p/c', kind: 'device'}]);
	t.deepEqual(programs(V2, 'all'), []);
	t.deepEqual(programs(V1, DEFAULT_DEVICE_RULES), []);
});
