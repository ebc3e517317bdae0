import test from 'ava';
import fc from 'fast-check';
import type {ResourceFacts} from '../sandbox/record.js';
import {readActualResources} from './actual.js';
import {toCpuWeight, toSharesOfWeight} from './cpu.js';
import {detectCgroups, type CgroupHierarchies} from './hierarchies.js';
import {NO_RESOURCES} from './resources.js';

const mount = (name: string): string => `34 31 0:31 / /c/${name} rw - cgroup cgroup rw,${name}\n`;
const V1 = detectCgroups(['cpu', 'cpuset', 'memory', 'hugetlb'].map(mount).join(''));
const V2 = detectCgroups('30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n');
const facts = (changes: Partial<ResourceFacts>): ResourceFacts => ({...NO_RESOURCES, ...changes});

async function actual(cgroups: CgroupHierarchies, files: Readonly<Record<string, string>>, asked: Partial<ResourceFacts>): Promise<ResourceFacts> {
	const readFiles = async (paths: readonly string[]): Promise<readonly (Uint8Array | null)[]> =>
		paths.map(path => {
			const said = files[path.slice(path.lastIndexOf('/') + 1)];
			return said === undefined ? null : Buffer.from(`${said}\n`);
		});
	return await readActualResources({kernel: {readFiles}, cgroups}, '/p/c', facts(asked));
}

const V1_FRESH = {
	'cpu.shares': '1024',
	'cpu.cfs_quota_us': '-1',
	'cpu.cfs_period_us': '100000',
	'memory.limit_in_bytes': '9223372036854771712',
	'memory.memsw.limit_in_bytes': '9223372036854771712',
	'cpuset.cpus': '0-1',
	'cpuset.mems': '0',
};
const V2_FRESH = {'cpu.weight': '100', 'cpu.max': 'max 100000', 'memory.max': 'max', 'memory.swap.max': 'max', 'cpuset.cpus': '', 'cpuset.mems': ''};

test('what nobody asked for and nobody set is unspecified', async t => {
	t.deepEqual(await actual(V1, V1_FRESH, {}), NO_RESOURCES);
	t.deepEqual(await actual(V2, V2_FRESH, {}), NO_RESOURCES);
	t.deepEqual(await actual(V2, {}, {}), NO_RESOURCES);
});

test('what holds is said as it was asked for, whatever the kernel makes of it', async t => {
	const asked = facts({
		cpuShares: 700n,
		cpuQuotaUs: 50_000n,
		memoryLimitBytes: 100_000_001n,
		memorySwapLimitBytes: 200_000_001n,
		cpusetCpus: '0,1',
		hugepageLimits: [{pageSize: '2MB', limitBytes: 3_000_000n}],
	});
	const v1 = {
		'cpu.shares': '700',
		'cpu.cfs_quota_us': '50000',
		'cpu.cfs_period_us': '100000',
		'memory.limit_in_bytes': '99999744',
		'memory.memsw.limit_in_bytes': '199999488',
		'cpuset.cpus': '0-1',
		'hugetlb.2MB.limit_in_bytes': '2097152',
	};
	const v2 = {
		'cpu.weight': String(toCpuWeight(700n)),
		'cpu.max': '50000 100000',
		'memory.max': '99999744',
		'memory.swap.max': '99999744',
		'cpuset.cpus': '0-1',
		'hugetlb.2MB.max': '2097152',
	};
	t.deepEqual(await actual(V1, v1, asked), asked);
	t.deepEqual(await actual(V2, v2, asked), asked);
});

test('what somebody else set is said as it is', async t => {
	const asked = facts({cpuShares: 700n, memoryLimitBytes: 100_000_000n, cpusetCpus: '0,1', cpuQuotaUs: 50_000n});
	const v2 = {'cpu.weight': '500', 'cpu.max': 'max 50000', 'memory.max': '50003968', 'memory.swap.max': 'max', 'cpuset.cpus': '3'};
	t.like(await actual(V2, v2, asked), {
		cpuShares: toSharesOfWeight(500),
		cpuQuotaUs: -1n,
		cpuPeriodUs: 50_000n,
		memoryLimitBytes: 50_003_968n,
		memorySwapLimitBytes: -1n,
		cpusetCpus: '3',
	});
	t.like(await actual(V1, {...V1_FRESH, 'cpu.shares': '2', 'cpu.cfs_quota_us': '7000'}, {}), {cpuShares: 2n, cpuQuotaUs: 7000n, cpuPeriodUs: 100_000n});
});

test('no swap beyond memory was asked for: the limit of both is what memory has', async t => {
	const asked = {memoryLimitBytes: 1_048_576n};
	t.like(await actual(V2, {...V2_FRESH, 'memory.max': '1048576', 'memory.swap.max': '0'}, asked), {memoryLimitBytes: 1_048_576n, memorySwapLimitBytes: 0n});
	t.like(await actual(V2, {...V2_FRESH, 'memory.max': '1048576', 'memory.swap.max': '4096000'}, asked), {memorySwapLimitBytes: 5_144_576n});
});

test('toSharesOfWeight gives shares that have that weight', t => {
	fc.assert(
		fc.property(fc.integer({min: 1, max: 10_000}), weight => {
			const back = toCpuWeight(toSharesOfWeight(weight));
			// The curve's steps are wider than one weight at its upper end.
			t.true(back >= weight && back - weight <= weight * 0.001 + 1);
		}),
	);
});
