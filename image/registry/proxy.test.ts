import test from 'ava';
import {proxyFor} from './proxy.js';

const HTTP = 'http://proxy.example:3128/';
const HTTPS = 'http://proxy.example:3129/';

for (const [noProxy, url, expected] of [
	['', 'https://quay.io/v2/', HTTPS],
	['', 'http://quay.io/v2/', HTTP],
	['', 'http://localhost:5000/', null],
	['', 'http://127.8.9.10:5000/', null],
	['', 'https://[::1]:5000/', null],
	['*', 'https://quay.io/', null],
	['a, *', 'https://quay.io/', null],
	['quay.io', 'https://quay.io/', null],
	['QUAY.io.', 'https://cdn.quay.io/', null],
	['quay.io', 'https://notquay.io/', HTTPS],
	['.quay.io', 'https://cdn.quay.io/', null],
	['.quay.io', 'https://quay.io/', HTTPS],
	['*.quay.io', 'https://cdn.quay.io/', null],
	['*.quay.io', 'https://quay.io/', HTTPS],
	['quay.io:443', 'https://quay.io/', null],
	['quay.io:443', 'https://quay.io:8443/', HTTPS],
	['10.0.0.0/8', 'https://10.1.2.3:5000/', null],
	['10.0.0.0/8', 'https://11.1.2.3:5000/', HTTPS],
	['10.1.2.3', 'https://10.1.2.3/', null],
	['10.1.2.3:80', 'http://10.1.2.3/', null],
	['10.1.2.3:80', 'https://10.1.2.3/', HTTPS],
	['fd00::/8', 'https://[fd12::1]:5000/', null],
	['fd12::1', 'https://[fd12::1]/', null],
	['[fd12::1]:443', 'https://[fd12::1]/', null],
	['[fd12::1]:444', 'https://[fd12::1]/', HTTPS],
	['10.0.0.0/99,nonsense/x,:,[', 'https://quay.io/', HTTPS],
	['foo 10.0.0.0/8\tbar', 'https://10.0.0.1/', null],
] as const) {
	test(`proxyFor(${url}) with NO_PROXY="${noProxy}" is ${expected === null ? 'none' : 'the proxy'}`, t => {
		t.is(proxyFor(new URL(url), {http: HTTP, https: HTTPS, noProxy}), expected);
	});
}

test('https has no proxy where only HTTP_PROXY is set, as in Go', t => {
	t.is(proxyFor(new URL('https://quay.io/'), {http: HTTP, https: null, noProxy: ''}), null);
	t.is(proxyFor(new URL('http://quay.io/'), {http: null, https: HTTPS, noProxy: ''}), null);
});
