import test from 'ava';
import {InvalidArgumentError} from '../../base/errors.js';
import {containersNamed, isCgroupAnnotation, toCgroupExtras} from './annotations.js';

const one = (name: string, text: string) => toCgroupExtras({pod: {[`berth.io/${name}`]: text}, container: {}, containerName: 'c'});

test('nothing is asked for by other annotations', t => {
	t.deepEqual(toCgroupExtras({pod: {'example.com/pids-limit': '7', 'pids-limit': '7'}, container: {}, containerName: 'c'}), {
		pidsLimit: null,
		memorySoftLimitBytes: null,
		memoryHighBytes: null,
		blkioWeight: null,
		blkioWeightDevices: [],
		blkioThrottles: {read_bps: [], write_bps: [], read_iops: [], write_iops: []},
		networkClass: null,
		networkPriorities: [],
	});
});

test('each value is read in its form', t => {
	t.is(one('pids-limit', '100').pidsLimit, 100n);
	t.is(one('pids-limit', 'max').pidsLimit, -1n);
	t.is(one('memory-soft-limit', '64Mi').memorySoftLimitBytes, 67_108_864n);
	t.is(one('memory-high', '5k').memoryHighBytes, 5000n);
	t.is(one('blkio-weight', '10').blkioWeight, 10n);
	t.deepEqual(one('blkio-weight-device', '8:0 100, /dev/disk/by-id/x 1000').blkioWeightDevices, [
		{device: '8:0', value: 100n},
		{device: '/dev/disk/by-id/x', value: 1000n},
	]);
	t.deepEqual(one('blkio-throttle-write-iops-device', '254:16 500').blkioThrottles.write_iops, [{device: '254:16', value: 500n}]);
	t.is(one('network-class', '0x00100001').networkClass, 0x100001n);
	t.is(one('network-class', '10:1').networkClass, 0x100001n);
	t.deepEqual(one('network-priority', '5').networkPriorities, [{interfaceName: null, priority: 5n}]);
	t.deepEqual(one('network-priority', 'eth0 5, net1 0').networkPriorities, [
		{interfaceName: 'eth0', priority: 5n},
		{interfaceName: 'net1', priority: 0n},
	]);
});

for (const [name, texts] of Object.entries({
	'pids-limit': ['', '0', '-1', '4194305', '1.5', '1 2', '0x10', 'Max', '99999999999999999999'],
	'memory-soft-limit': ['', '0', '-5', '5m', '1.5Mi', '9223372036854775808', '99999999999Gi', 'max'],
	'memory-high': ['max', '0Mi'],
	'blkio-weight': ['9', '1001', '', '1e2'],
	'blkio-weight-device': ['', '8:0', '8:0 5', '8:0 100,', 'sda 100', '/dev/../etc/passwd 100', '8:0 100, 8:0 200', '8:0 100 200', '/etc 100', '8:0\n9:0 100'],
	'blkio-throttle-read-bps-device': ['8:0 0', '8:0 -1', ':0 5', '8 5', '/dev/sda'],
	'network-class': ['', '0', '0x0', '0:0', '1', '0x100000000', '10000:1', '1:', 'g:1'],
	'network-priority': ['', '-1', '4294967296', 'eth0', 'eth0 x', 'eth0 1,eth0 2', 'a/b 1', 'sixteen-letters- 1', 'eth0 1\nlo 2'],
})) {
	for (const text of texts) {
		test(`${name} ${JSON.stringify(text)} is refused, naming the annotation and its rule`, t => {
			const error = t.throws(() => one(name, text), {instanceOf: InvalidArgumentError});
			t.true(error.message.startsWith(`annotations["berth.io/${name}"]: "${text}" is n`), error.message);
		});
	}
}

test("a container's own wins, then the pod's for it, then the pod's for all", t => {
	const pod = {'berth.io/pids-limit': '1', 'berth.io/pids-limit.c': '2'};
	const limit = (container: Readonly<Record<string, string>>, containerName: string): bigint | null =>
		toCgroupExtras({pod, container, containerName}).pidsLimit;
	t.is(limit({}, 'd'), 1n);
	t.is(limit({}, 'c'), 2n);
	t.is(limit({'berth.io/pids-limit': '3'}, 'c'), 3n);
	t.deepEqual(containersNamed(pod), ['c']);
	t.true(isCgroupAnnotation('berth.io/pids-limit.c') && isCgroupAnnotation('berth.io/pids-limit'));
	t.false(isCgroupAnnotation('berth.io/pids-limits') || isCgroupAnnotation('berth.io/pids'));
});
