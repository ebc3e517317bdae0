import test from 'ava';
import {toSize} from './command.js';
import {toProgressLine} from './progress-line.js';

const pull = {
	phase: 'fetching',
	totalBytes: 3_000_000,
	fetchedBytes: 1_500_000,
	layers: [
		{sizeBytes: 1_000_000, fetchedBytes: 1_000_000},
		{sizeBytes: 2_000_000, fetchedBytes: 500_000},
	],
};

test('toProgressLine shows share, bytes and layers within the terminal', t => {
	t.is(toProgressLine(pull, 70), `[${'='.repeat(10)}>${' '.repeat(9)}]  50 %  1.5 MB of 3.0 MB, 1 of 2 layers`);
	t.is(toProgressLine({...pull, phase: 'syncing', fetchedBytes: 3_000_000}, 60), '[==========] 100 %  3.0 MB of 3.0 MB, writing to disk');
	t.is(toProgressLine({...pull, totalBytes: null}, 80), 'resolving');
	t.is(toProgressLine({...pull, totalBytes: 0, fetchedBytes: 0, layers: []}, 40), '100 %  0 B of 0 B, 0 of 0 layers');
	t.true(toProgressLine(pull, 20).length <= 20);
});

test('toSize has decimal units', t => {
	t.deepEqual([0, 999, 1000, 1_500_000, 2e12, 5e15].map(toSize), ['0 B', '999 B', '1.0 kB', '1.5 MB', '2.0 TB', '5000.0 TB']);
});
