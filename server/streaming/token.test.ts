import test from 'ava';
import {ResourceExhaustedError} from '../../base/errors.js';
import {TokenTable, TOKEN_LIFETIME_MS} from './token.js';

test('a token gives its value once', t => {
	const table = new TokenTable<string>();
	const token = table.put('a');
	t.not(table.put('b'), token);
	t.is(table.take(`${token.slice(0, -1)}_`), null);
	t.is(table.take(token), 'a');
	t.is(table.take(token), null);
});

test('a token expires', t => {
	let nowMs = 0;
	const table = new TokenTable<string>({monotonicMs: () => nowMs});
	const [early, late] = [table.put('early'), ((nowMs = 1000), table.put('late'))];
	nowMs = TOKEN_LIFETIME_MS;
	t.is(table.take(early), null);
	t.is(table.take(late), 'late');
});

test('tokens that nobody uses are bounded, and make room when they expire', t => {
	let nowMs = 0;
	const table = new TokenTable<number>({monotonicMs: () => nowMs});
	for (let index = 0; index < 1000; index++) table.put(index);
	t.throws(() => table.put(1000), {instanceOf: ResourceExhaustedError});
	nowMs = TOKEN_LIFETIME_MS;
	t.notThrows(() => table.put(1001));
});
