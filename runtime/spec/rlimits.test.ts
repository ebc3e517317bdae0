import test from 'ava';
import {InvalidArgumentError} from '../../base/errors.js';
import {toRlimit} from './rlimits.js';

const UNLIMITED = (1n << 64n) - 1n;
for (const [text, limit] of [
	['nofile=1024:4096', {resource: 7, soft: 1024n, hard: 4096n}],
	['core=0', {resource: 4, soft: 0n, hard: 0n}],
	['memlock=unlimited', {resource: 8, soft: UNLIMITED, hard: UNLIMITED}],
	['stack=8388608:-1', {resource: 3, soft: 8_388_608n, hard: UNLIMITED}],
] as const) {
	test(`the ulimit ${text}`, t => t.deepEqual(toRlimit(text), limit));
}

for (const [text, says] of [
	['nofile', /is not like/],
	['NOFILE=1', /is not like/],
	['files=1', /names no resource; there are cpu, /],
	['nofile=many', /has no number "many"/],
	['nofile=1:x', /has no number "x"/],
	['nofile=18446744073709551616', /has no number/],
	['nofile=5:4', /soft limit above the hard one/],
	['nofile=unlimited:5', /soft limit above the hard one/],
] as const) {
	test(`the ulimit ${text} is refused by name`, t => {
		const error = t.throws(() => toRlimit(text), {instanceOf: InvalidArgumentError, message: says});
		t.true(error.message.includes(text));
	});
}
