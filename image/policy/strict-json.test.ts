import test from 'ava';
import {CorruptError} from '../../base/errors.js';
import {parseStrictJson} from './strict-json.js';

test("the value is JSON.parse's and keys have lines, also behind strings with marks and escapes", t => {
	const text = '{\n"a": "}{\\"],:",\n"b": [1, {"c": null,\n\n"d": [[], {}, -1e3, true]}],\n"a\\u0062": 2}';
	const {value, lineOf} = parseStrictJson(text);
	t.deepEqual(value, JSON.parse(text));
	t.is(lineOf(['a']), 2);
	t.is(lineOf(['b', 1, 'c']), 3);
	t.is(lineOf(['b', 1, 'd', 3]), 5);
	t.is(lineOf(['ab']), 6);
	t.is(lineOf(['none']), null);
	t.is(lineOf([]), null);
});

test('a key that comes twice in one object is an error, however it is written; in two objects it is none', t => {
	const error = t.throws(() => parseStrictJson('{"a": 1,\n"b": {"x": [{"y": 1}, {"y": 2}]},\n"\\u0061": 2}'), {
		instanceOf: CorruptError,
		message: 'key "a" comes twice',
	});
	t.is(error?.details['line'], 3);
	t.throws(() => parseStrictJson('{"__proto__": 1, "__proto__": 2}'), {message: 'key "__proto__" comes twice'});
	t.notThrows(() => parseStrictJson('[{"a": 1}, {"a": 1}, "a", "a"]'));
});

test('what is no JSON is an error in one line, with its line where the parser says it', t => {
	const error = t.throws(() => parseStrictJson('{\n"a": 1,\n}'), {instanceOf: CorruptError});
	t.is(error?.details['line'], 3);
	for (const text of ['', '{', '{"a": nope,\n1}', "{'a': 1}", '{} {}'])
		t.notRegex(t.throws(() => parseStrictJson(text), {instanceOf: CorruptError})?.message ?? '\n', /\n/);
});

test('a text that is deep, or has a long key above many others, costs no more than its length', t => {
	t.is(parseStrictJson(`${'['.repeat(100_000)}${']'.repeat(100_000)}`).lineOf([0, 0]), null);
	const many = Array.from({length: 20_000}, (_, index) => `"${index}":0`).join(',');
	t.is(parseStrictJson(`{"${'k'.repeat(200_000)}":{${many}}}`).lineOf(['k'.repeat(200_000), '19999']), 1);
});
