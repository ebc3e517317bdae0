import test from 'ava';
import {retryAfterMs} from './retry-after.js';

const clock = {nowNs: () => BigInt(Date.parse('2026-11-24T12:00:00Z')) * 1_000_000n};

for (const [header, expected] of [
	['', null],
	['0', 0],
	['7', 7000],
	['86400', 60_000],
	['Tue, 24 Nov 2026 12:00:20 GMT', 20_000],
	['Tue, 24 Nov 2026 11:00:00 GMT', 0],
	['Wed, 25 Nov 2026 11:00:00 GMT', 60_000],
	['soon', null],
	['-5x', null],
] as const) {
	test(`retryAfterMs reads ${JSON.stringify(header)} as ${expected}`, t => {
		t.is(retryAfterMs(header, clock), expected);
	});
}
