import test from 'ava';
import {InvalidArgumentError} from '../../base/errors.js';
import {assertSelinux, toSelinuxLabels} from './selinux.js';

const options = (changes: object) => ({user: '', role: '', type: '', level: '', ...changes}) as never;

for (const [changes, labels] of [
	[{}, null],
	[{level: 's0:c1,c2'}, {process: 'system_u:system_r:container_t:s0:c1,c2', files: 'system_u:object_r:container_file_t:s0:c1,c2'}],
	[{type: 'spc_t'}, {process: 'system_u:system_r:spc_t:s0', files: 'system_u:object_r:container_file_t:s0'}],
	[
		{user: 'u', role: 'r', type: 't', level: 's0-s0:c0.c1023'},
		{process: 'u:r:t:s0-s0:c0.c1023', files: 'system_u:object_r:container_file_t:s0-s0:c0.c1023'},
	],
] as const) {
	test(`the SELinux labels of ${JSON.stringify(changes)}`, t => {
		t.notThrows(() => assertSelinux(options(changes)));
		t.deepEqual(toSelinuxLabels(options(changes)), labels);
	});
}

for (const [changes, field] of [
	[{user: 'a:b'}, 'user'],
	[{role: 'a b'}, 'role'],
	[{type: 'a\0'}, 'type'],
	[{level: 's0;'}, 'level'],
	[{level: 's0\n'}, 'level'],
] as const) {
	test(`the SELinux options ${JSON.stringify(changes)} are refused by name`, t => {
		const error = t.throws(() => assertSelinux(options(changes)), {instanceOf: InvalidArgumentError});
		t.is(error.details['field'], `security_context.selinux_options.${field}`);
	});
}

test('no options are no labels', t => {
	t.notThrows(() => assertSelinux(null));
	t.is(toSelinuxLabels(null), null);
});
