import test from 'ava';
import {parseReference} from '../reference.js';
import {isNamePrefix, isRegistryScope, scopesOf} from './scope.js';

const DIGEST = `sha256:${'a'.repeat(64)}`;

test('an image falls under its reference, its repository, each namespace, the host, and wildcards of the domain without the port', t => {
	const scopes = scopesOf({transport: 'docker', reference: parseReference('a.b.example.com:5000/ns/sub/app:1')});
	t.deepEqual(scopes, [
		'a.b.example.com:5000/ns/sub/app:1',
		'a.b.example.com:5000/ns/sub/app',
		'a.b.example.com:5000/ns/sub',
		'a.b.example.com:5000/ns',
		'a.b.example.com:5000',
		'*.b.example.com',
		'*.example.com',
		'*.com',
	]);
});

test('scopes are of the fully expanded form', t => {
	t.deepEqual(scopesOf({transport: 'docker', reference: parseReference('busybox')}), [
		'docker.io/library/busybox:latest',
		'docker.io/library/busybox',
		'docker.io/library',
		'docker.io',
		'*.io',
	]);
	t.deepEqual(scopesOf({transport: 'docker', reference: parseReference('localhost/x')}), ['localhost/x:latest', 'localhost/x', 'localhost']);
});

test('a reference by digest, also one with a tag, falls under name@digest and not under the tag', t => {
	for (const text of [`quay.io/x/y@${DIGEST}`, `quay.io/x/y:1@${DIGEST}`]) {
		const scopes = scopesOf({transport: 'docker', reference: parseReference(text)});
		t.deepEqual(scopes, [`quay.io/x/y@${DIGEST}`, 'quay.io/x/y', 'quay.io/x', 'quay.io', '*.io']);
	}
});

test('an archive falls under its path and the directories above, but "/"; a docker archive under none', t => {
	for (const transport of ['oci', 'oci-archive'] as const) t.deepEqual(scopesOf({transport, path: '/srv/images/a'}), ['/srv/images/a', '/srv/images', '/srv']);
	t.deepEqual(scopesOf({transport: 'docker-archive', path: '/srv/a.tar'}), []);
});

for (const scope of [
	'',
	'docker.io',
	'docker.io/library',
	'docker.io/library/busybox',
	'docker.io/library/busybox:1',
	`docker.io/library/busybox@${DIGEST}`,
	'localhost',
	'localhost:5000/x',
	'registry:5000',
	'[::1]:5000/x',
	'*.com',
	'*.example.com',
])
	test(`the scope "${scope}" can match`, t => t.true(isRegistryScope(scope)));

for (const scope of [
	'busybox',
	'library/busybox',
	'docker.io/',
	'docker.io/busybox:1',
	'index.docker.io/library/busybox',
	'index.docker.io',
	'example*.com',
	'*',
	'*.',
	'*.example.com:5000',
	'*.example.com/x',
	'quay.io/*',
	'https://quay.io',
	'quay.io/UPPER',
	`quay.io/x:1@${DIGEST}`,
	'quay.io/x@sha256:12',
])
	test(`the scope "${scope}" cannot match`, t => t.false(isRegistryScope(scope)));

test('a name prefix has no tag, digest or wildcard', t => {
	for (const text of ['docker.io', 'host:5000/a/b', 'localhost']) t.true(isNamePrefix(text), text);
	for (const text of ['', 'short', 'quay.io/a:1', `quay.io/a@${DIGEST}`, '*.io', 'quay.io//a']) t.false(isNamePrefix(text), text);
});
