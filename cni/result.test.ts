import test from 'ava';
import {FailedError} from '../base/errors.js';
import {bytes} from './fake-kernel.js';
import {excerpt, parseResult, podIps} from './result.js';

test('podIps takes the addresses of the pod side of eth0, in order', t => {
	const result = parseResult(
		'bridge',
		bytes({
			cniVersion: '1.0.0',
			interfaces: [{name: 'br0'}, {name: 'eth0'}, {name: 'eth0', sandbox: '/run/netns/a'}],
			ips: [
				{address: '10.0.0.1/24', interface: 0},
				{address: '10.0.0.9/24', interface: 2},
				{address: 'fd00::9/64', interface: 2},
				{address: '10.0.0.8/24', interface: 1},
			],
		}),
	);
	t.deepEqual(podIps(result), ['10.0.0.9', 'fd00::9']);
});

test('parseResult reads 0.3.1 results, whose ips have a version, and ones without interfaces', t => {
	const result = parseResult('ptp', bytes({cniVersion: '0.3.1', ips: [{version: '4', address: '10.1.2.3/32'}], dns: {}}));
	t.deepEqual(podIps(result), ['10.1.2.3']);
	t.deepEqual(podIps(parseResult('tuning', bytes({}))), []);
});

const bad: readonly (readonly [string, string | object, RegExp])[] = [
	['nothing', '', /not JSON: \(nothing\)/],
	['text', 'segmentation\nfault', /not JSON: segmentation fault/],
	['a list', [], /not a JSON object/],
	['an address without prefix', {ips: [{address: '10.0.0.1'}]}, /ips\[0\]\.address/],
	['an address that is none', {ips: [{address: '10.0.0.1/24'}, {address: '10.0.0.256/24'}]}, /ips\[1\]\.address/],
	['a prefix too long', {ips: [{address: '10.0.0.1/33'}]}, /ips\[0\]\.address/],
	['ips that are no list', {ips: {}}, /ips must be a list/],
	['an interface without name', {interfaces: [{}]}, /interfaces\[0\]\.name/],
];
for (const [what, output, message] of bad) {
	test(`parseResult refuses ${what}, naming plugin and field`, t => {
		const error = t.throws(() => parseResult('bridge', bytes(output)), {instanceOf: FailedError, message});
		t.is(error.details['plugin'], 'bridge');
		t.regex(error.message, /"bridge" ADD/);
	});
}

test('excerpt cuts long output and strips control characters', t => {
	t.is(excerpt('a\u001B[31m\n\tb'), 'a [31m b');
	t.is(excerpt('x'.repeat(500)).length, 201);
});
