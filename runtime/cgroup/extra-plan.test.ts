import test from 'ava';
import {InvalidArgumentError} from '../../base/errors.js';
import {toCgroupExtras} from './annotations.js';
import {toExtraPlan, toIoWeight, withExtra} from './extra-plan.js';
import {runBpf} from './fake-bpf.js';
import {toContainerCgroupPlan} from './plan.js';
import {NO_RESOURCES} from './resources.js';
import {detectCgroups, type CgroupHierarchies} from './hierarchies.js';
import {SKB_PRIORITY_OFFSET} from './v2/egress-program.js';

const mount = (name: string): string => `34 31 0:31 / /c/${name} rw - cgroup cgroup rw,${name}\n`;
const UNIFIED = '30 24 0:26 / /c/unified rw - cgroup2 cgroup2 rw\n';
const V1 = detectCgroups(['memory', 'pids', 'blkio', 'net_cls', 'net_prio'].map(mount).join(''));
const BARE_V1 = detectCgroups(mount('freezer'));
const HYBRID = detectCgroups(['memory', 'pids', 'blkio'].map(mount).join('') + UNIFIED);
const V2 = detectCgroups(UNIFIED);

const planOf = (hierarchies: CgroupHierarchies, annotations: Readonly<Record<string, string>>) => {
	const pod = Object.fromEntries(Object.entries(annotations).map(([name, text]) => [`berth.io/${name}`, text]));
	return toExtraPlan({hierarchies, cgroupPath: '/p/c', podPath: '/p'}, toCgroupExtras({pod, container: {}, containerName: 'c'}));
};
const linesOf = async (hierarchies: CgroupHierarchies, annotations: Readonly<Record<string, string>>): Promise<readonly string[]> =>
	(await planOf(hierarchies, annotations)).writes.map(({path, value}) => `${path} ${value}`);

for (const [annotations, v1, v2] of [
	[{}, [], []],
	[{'pids-limit': '9'}, ['/c/pids/p/c/pids.max 9'], ['/c/unified/p/c/pids.max 9']],
	[{'memory-soft-limit': '1Mi'}, ['/c/memory/p/c/memory.soft_limit_in_bytes 1048576'], ['/c/unified/p/c/memory.low 1048576']],
	[
		{'blkio-throttle-read-bps-device': '8:0 5, 8:16 6', 'blkio-throttle-write-iops-device': '8:0 7'},
		[
			'/c/blkio/p/c/blkio.throttle.read_bps_device 8:0 5',
			'/c/blkio/p/c/blkio.throttle.read_bps_device 8:16 6',
			'/c/blkio/p/c/blkio.throttle.write_iops_device 8:0 7',
		],
		['/c/unified/p/c/io.max 8:0 rbps=5', '/c/unified/p/c/io.max 8:16 rbps=6', '/c/unified/p/c/io.max 8:0 wiops=7'],
	],
] as const) {
	test(`${JSON.stringify(annotations)} on v1, hybrid and v2`, async t => {
		t.deepEqual(await linesOf(V1, annotations), [...v1]);
		t.deepEqual(await linesOf(HYBRID, annotations), [...v1]);
		t.deepEqual(await linesOf(V2, annotations), [...v2]);
	});
}

test('network class and priority are files of v1 where it has them', async t => {
	t.deepEqual(await linesOf(V1, {'network-class': '10:1', 'network-priority': 'eth0 5'}), [
		'/c/net_cls/p/c/net_cls.classid 1048577',
		'/c/net_prio/p/c/net_prio.ifpriomap eth0 5',
	]);
});

for (const hierarchies of [HYBRID, V2])
	test(`on ${hierarchies.mode} without them they are a program that sets a packet's priority and lets it pass`, async t => {
		for (const [annotations, priority] of [
			[{'network-class': '10:1'}, 0x100001],
			[{'network-priority': '4294967295'}, 4_294_967_295],
		] as const) {
			const {programs, writes} = await planOf(hierarchies, annotations);
			t.deepEqual(writes, []);
			t.like(programs, [{dir: '/c/unified/p/c', kind: 'egress'}]);
			const packet = Buffer.alloc(200, 0xee);
			t.is(runBpf(programs[0]?.instructions ?? Buffer.alloc(0), packet), 1);
			t.is(packet.readUInt32LE(SKB_PRIORITY_OFFSET), priority);
			t.is(packet.filter(byte => byte !== 0xee).length <= 4, true);
		}
	});

for (const [what, hierarchies, annotations, message] of [
	['pids where there is no controller', BARE_V1, {'pids-limit': '5'}, /pids-limit"\]: this machine has the pids controller neither on cgroup v1 nor on v2/],
	['memory.high on v1', V1, {'memory-high': '5Mi'}, /memory-high"\]: needs cgroup v2/],
	['a weight where nothing weighs', V2, {'blkio-weight': '100'}, /blkio-weight"\]: .*neither the bfq scheduler nor iocost/],
	['a class on bare v1', BARE_V1, {'network-class': '1:1'}, /network-class"\]: this machine has neither/],
	['a priority on bare v1', BARE_V1, {'network-priority': '1'}, /network-priority"\]: this machine has neither/],
	['a priority of one interface on v2', V2, {'network-priority': 'eth0 1'}, /network-priority"\]: a priority for one interface needs the net_prio/],
	['class and priority on v2', V2, {'network-class': '1:1', 'network-priority': '1'}, /network-priority"\]: .*only one of both/],
	['a device that is none', V1, {'blkio-throttle-read-bps-device': '/dev/null 5'}, /"\/dev\/null" is no block device/],
	['a device that is not there', V1, {'blkio-throttle-read-bps-device': '/dev/no-such 5'}, /"\/dev\/no-such" cannot be read/],
] as const) {
	test(`${what} is refused, naming the annotation`, async t => {
		await t.throwsAsync(planOf(hierarchies, annotations), {instanceOf: InvalidArgumentError, message});
	});
}

test('toIoWeight keeps both ends of the scale', t => {
	t.deepEqual([10n, 500n, 1000n].map(toIoWeight), [1n, 4950n, 10_000n]);
});

test('they are written after the controllers are turned on, and before what the CRI asks for itself', async t => {
	const plan = toContainerCgroupPlan(V2, '/p/c', {...NO_RESOURCES, unified: {'pids.max': '5'}}, 'all');
	const {writes} = withExtra(plan, await planOf(V2, {'pids-limit': '9'}));
	const values = writes.map(({path, value}) => `${path.slice(path.lastIndexOf('/') + 1)} ${value}`);
	t.deepEqual(values.slice(-2), ['pids.max 9', 'pids.max 5']);
	t.true(values.slice(0, -2).every(line => line.startsWith('cgroup.subtree_control ')));
});
