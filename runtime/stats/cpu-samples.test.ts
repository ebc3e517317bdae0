import test from 'ava';
import {CpuSamples} from './cpu-samples.js';

/** CPU time of something that uses `cores` since the epoch, ns. */
const used = (cores: number, atMs: number): bigint => BigInt(Math.round(cores * atMs * 1e6));

test('CpuSamples gives a rate from the second sample on', t => {
	const samples = new CpuSamples();
	t.is(samples.take('a', 0n, 0), null);
	t.is(samples.take('a', 500_000_000n, 1000), 500_000_000n);
	t.is(samples.take('b', 500_000_000n, 1000), null);
});

test('CpuSamples says nothing by two samples that are closer than the kernel counts', t => {
	const samples = new CpuSamples();
	samples.take('a', 0n, 0);
	t.is(samples.take('a', 1n, 50), null);
	t.is(samples.take('a', 50_000_000n, 100), 500_000_000n);
});

for (const everyMs of [10, 250, 1000, 7000, 10_000]) {
	test(`the rate is over about ten seconds when somebody asks every ${everyMs} ms`, t => {
		const samples = new CpuSamples();
		// One core for a minute, then idle.
		let rate: bigint | null = null;
		for (let ms = 0; ms <= 60_000; ms += everyMs) rate = samples.take('a', used(1, ms), ms);
		t.is(rate, 1_000_000_000n);
		const startMs = Math.floor(60_000 / everyMs) * everyMs;
		for (let ms = startMs + everyMs; ms <= startMs + 5000; ms += everyMs) {
			rate = samples.take('a', used(1, startMs), ms);
			const expected = 1 - (ms - startMs) / 10_000;
			t.true(Math.abs(Number(rate) / 1e9 - expected) < 0.15, `${ms}: ${String(rate)}`);
		}
		for (let ms = startMs + 5000 + everyMs; ms <= startMs + 40_000; ms += everyMs) rate = samples.take('a', used(1, startMs), ms);
		t.is(rate, 0n);
	});
}

test('one who asks all the time changes nothing for one who asks seldom', t => {
	const [busy, quiet] = [new CpuSamples(), new CpuSamples()];
	// In bursts: half a core of the time.
	const burst = (ms: number): bigint => BigInt(Math.floor(ms / 2000) * 1_000_000_000 + Math.min(ms % 2000, 1000) * 1_000_000);
	for (let ms = 0; ms < 60_000; ms += 20) busy.take('a', burst(ms), ms);
	for (let ms = 0; ms < 60_000; ms += 10_000) quiet.take('a', burst(ms), ms);
	t.is(busy.take('a', burst(60_000), 60_000), quiet.take('a', burst(60_000), 60_000));
});

test('a cgroup made anew under the same id counts from zero', t => {
	const samples = new CpuSamples();
	samples.take('a', 5_000_000_000n, 0);
	t.is(samples.take('a', 1n, 10_000), null);
	t.is(samples.take('a', 10_000_000_001n, 20_000), 1_000_000_000n);
});

test('a sample of long ago gives no rate, and what nobody asks about is forgotten', t => {
	const samples = new CpuSamples();
	samples.take('gone', 1n, 0);
	samples.take('here', 1n, 100_000);
	t.is(samples.size, 2);
	samples.take('here', 2n, 121_000);
	t.is(samples.size, 1);
	t.is(samples.take('here', 3n, 300_000), null);
});
