import test from 'ava';
import {InvalidArgumentError} from '../../base/errors.js';
import {openNative} from '../../native/open-native.js';
import {SeccompCache} from './seccomp.js';

const {kernel} = openNative();

test('the built-in profile compiles, and differs by capabilities', async t => {
	const cache = new SeccompCache(kernel, '');
	const [none, admin] = await Promise.all([cache.choose({kind: 'default'}, 0n), cache.choose({kind: 'default'}, 1n << 21n)]);
	// Each instruction of a filter is 8 bytes (struct sock_filter); BPF_MAXINSNS is 4096.
	for (const program of [none?.program, admin?.program]) {
		t.is((program?.length ?? 1) % 8, 0);
		t.true((program?.length ?? 0) > 100 * 8 && (program?.length ?? 0) <= 4096 * 8);
	}
	t.not(none?.key, admin?.key);
});

test('an empty profile file is refused by name', async t => {
	const cache = new SeccompCache(kernel, '/dev/null');
	await t.throwsAsync(cache.choose({kind: 'default'}, 0n), {instanceOf: InvalidArgumentError, message: /^seccomp profile \/dev\/null is not JSON/});
});
