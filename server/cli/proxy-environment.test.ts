import test from 'ava';
import {InvalidArgumentError} from '../../base/errors.js';
import {toProxyOptions} from './proxy-environment.js';

test('the proxy comes from the environment, upper case first', t => {
	t.deepEqual(toProxyOptions({}), {http: null, https: null, noProxy: ''});
	t.deepEqual(toProxyOptions({HTTP_PROXY: 'http://a:1', http_proxy: 'http://b:2', https_proxy: 'https://c', no_proxy: '10.0.0.0/8, .local'}), {
		http: 'http://a:1/',
		https: 'https://c/',
		noProxy: '10.0.0.0/8, .local',
	});
	t.is(toProxyOptions({HTTPS_PROXY: 'proxy.example:3128'}).https, 'http://proxy.example:3128/');
	t.is(toProxyOptions({HTTPS_PROXY: '', https_proxy: 'socks5://s:1080'}).https, 'socks5://s:1080');
});

test('a proxy that is no URL is refused by its name, without its value', t => {
	for (const value of ['ftp://user:secret@x', 'http://', 'http://user:secret@:x']) {
		const error = t.throws(() => toProxyOptions({HTTPS_PROXY: value}), {instanceOf: InvalidArgumentError, message: /HTTPS_PROXY/});
		t.false(error.message.includes('secret'));
	}
});
