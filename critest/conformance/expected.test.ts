import test from 'ava';
import {differences, readSpecNames} from './expected.js';
import type {Outcome, Outcomes} from './report.js';

const BARE = {apparmor: false, userNamespaces: true, idMappedTmpfs: true};
const passed = (...names: readonly string[]): readonly Outcome[] => names.map(name => ({name, reason: ''}));
const none: Outcomes = {passed: [], failed: [], skipped: []};
const APPARMOR = '[k8s.io] AppArmor › runtime should support apparmor field › should enforce a permissive deprecated profile';
const forced = {name: APPARMOR, reason: 'AppArmor is disabled on this host'};

test('all passed, and what the machine forces skipped for its reason, is no difference', t => {
	t.deepEqual(differences({...none, passed: passed('a', 'b'), skipped: [forced]}, BARE, ['a', 'b', APPARMOR]), []);
	t.deepEqual(differences({...none, passed: passed('a', APPARMOR)}, {...BARE, apparmor: true}, ['a', APPARMOR]), []);
});

test('a handler that has no user namespaces may skip their specs, and no others', t => {
	const name = '[k8s.io] Security Context › UserNamespaces › when Host idmap mount support is needed › runtime should support NamespaceMode_POD';
	const skipped = [{name, reason: 'no runtime handler found which supports user namespaces'}];
	t.deepEqual(differences({...none, passed: passed('a'), skipped}, {...BARE, userNamespaces: false}, ['a', name]), []);
	t.is(differences({...none, passed: passed('a'), skipped}, BARE, ['a', name]).length, 1);
});

test('on a kernel without id-mapped mounts of tmpfs the spec that needs one may skip itself, and nowhere else', t => {
	const spec = 'UserNamespaces › when Host idmap mount support is needed › runtime should support NamespaceMode_POD';
	const skipped = [{name: spec, reason: 'ID mapping is not supported with path: /dev/shm/berth-x: invalid argument'}];
	t.deepEqual(differences({...none, skipped}, {...BARE, idMappedTmpfs: false}, null), []);
	t.is(differences({...none, skipped}, BARE, null).length, 1);
});

test('any other skip, failure, absence or stranger is one', t => {
	t.is(differences({...none, passed: passed('a'), skipped: [forced]}, {...BARE, apparmor: true}, null).length, 1);
	t.is(differences({...none, passed: passed('a'), skipped: [{...forced, reason: 'the runtime does not support it'}]}, BARE, null).length, 1);
	t.is(differences({...none, passed: passed('a'), skipped: [{name: 'b', reason: 'AppArmor is disabled on this host'}]}, BARE, null).length, 1);
	t.regex(differences({...none, failed: [{name: 'a', reason: 'no\n  such'}]}, BARE, null)[0] ?? '', /failed: a: no such/);
	t.deepEqual(differences({...none, passed: passed('a')}, BARE, ['a', 'b']), ['did not run: b']);
	t.regex(differences({...none, passed: passed('a', 'c')}, BARE, ['a'])[0] ?? '', /not on the list.*: c/);
	t.deepEqual(differences({...none, passed: passed('a', 'a')}, BARE, ['a']), ['ran 2 times: a']);
	t.deepEqual(differences(none, BARE, null), ['no spec ran']);
});

test('the list has the 117 validation specs, each once, 9 of them of AppArmor and 5 of streaming', async t => {
	const names = await readSpecNames();
	t.is(new Set(names).size, 117);
	t.is(names.length, 117);
	t.is(names.filter(name => name.includes('AppArmor')).length, 9);
	t.is(names.filter(name => name.includes('Streaming')).length, 5);
});
