import test from 'ava';
import {InvalidArgumentError} from '../../base/errors.js';
import {SHM_SIZE, TIME_OFFSET_BOOTTIME, TIME_OFFSET_MONOTONIC, toShmSizeBytes, toTimeOffsets} from './annotations.js';

const DEFAULT = 1000;

for (const [text, bytes] of [
	['1', 1],
	['64Mi', 67_108_864],
	['2G', 2_000_000_000],
	['5k', 5000],
	['1024Gi', 2 ** 40],
] as const) {
	test(`a /dev/shm of "${text}" has ${bytes} bytes`, t => t.is(toShmSizeBytes({[SHM_SIZE]: text}, DEFAULT), bytes));
}

for (const text of ['', '0', '-1', '1.5Mi', '64 Mi', '64mi', '9999999999999999Gi', 'all']) {
	test(`a /dev/shm of "${text}" is refused by the annotation's name`, t => {
		const error = t.throws(() => toShmSizeBytes({[SHM_SIZE]: text}, DEFAULT), {instanceOf: InvalidArgumentError});
		t.true(error.message.startsWith(`annotations["${SHM_SIZE}"]: "${text}" `), error.message);
	});
}

test('without an annotation /dev/shm has the size of the config, and there is no time namespace', t => {
	t.is(toShmSizeBytes({}, DEFAULT), DEFAULT);
	t.is(toTimeOffsets({}, {}), null);
});

test("a container's time offsets win over its pod's, one by one, to the nanosecond", t => {
	const pod = {[TIME_OFFSET_MONOTONIC]: '3600', [TIME_OFFSET_BOOTTIME]: '-0.5'};
	t.deepEqual(toTimeOffsets(pod, {}), {monotonicNs: 3_600_000_000_000n, boottimeNs: -500_000_000n});
	t.deepEqual(toTimeOffsets(pod, {[TIME_OFFSET_MONOTONIC]: '+1.000000001'}), {monotonicNs: 1_000_000_001n, boottimeNs: -500_000_000n});
	t.deepEqual(toTimeOffsets({}, {[TIME_OFFSET_BOOTTIME]: '9223372036'}), {monotonicNs: 0n, boottimeNs: 9_223_372_036_000_000_000n});
});

for (const text of ['', '1h', '1.', '.5', '--1', '9223372037', '1.0000000001', ' 1']) {
	test(`a time offset of "${text}" is refused by the annotation's name`, t => {
		const error = t.throws(() => toTimeOffsets({}, {[TIME_OFFSET_BOOTTIME]: text}), {instanceOf: InvalidArgumentError});
		t.true(error.message.startsWith(`annotations["${TIME_OFFSET_BOOTTIME}"]: "${text}" `), error.message);
	});
}
