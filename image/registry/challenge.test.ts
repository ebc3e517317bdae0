import test from 'ava';
import fc from 'fast-check';
import {parseChallenge} from './challenge.js';

for (const [header, expected] of [
	[
		'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull"',
		{scheme: 'bearer', realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:library/busybox:pull'},
	],
	['basic realm=Registry', {scheme: 'basic', realm: 'Registry', service: '', scope: ''}],
	['Basic realm="a", Bearer realm="https://t/",service=s', {scheme: 'bearer', realm: 'https://t/', service: 's', scope: ''}],
	['Negotiate, Basic realm="with \\"quotes\\" and, comma"', {scheme: 'basic', realm: 'with "quotes" and, comma', service: '', scope: ''}],
	['BEARER Realm = "r" , SCOPE="a b"', {scheme: 'bearer', realm: 'r', service: '', scope: 'a b'}],
] as const) {
	test(`parseChallenge reads ${header}`, t => {
		t.deepEqual(parseChallenge(header), expected);
	});
}

test('parseChallenge knows no other schemes', t => {
	for (const header of ['', 'Negotiate', 'Digest realm="x"', '="', ',,,']) t.is(parseChallenge(header), null, header);
});

test('parseChallenge takes any text', t => {
	fc.assert(
		fc.property(fc.string({maxLength: 300}), header => {
			parseChallenge(header);
			parseChallenge(`Bearer ${header}`);
		}),
	);
	t.pass();
});
