import test from 'ava';
import {InvalidArgumentError} from '../base/errors.js';
import {capabilitiesOf, isConfigFileName, parseNetworkConfig} from './config.js';

test('parseNetworkConfig reads a list of plugins and keeps their own keys', t => {
	const text = JSON.stringify({
		cniVersion: '1.0.0',
		name: 'net',
		plugins: [
			{type: 'bridge', mtu: 1400},
			{type: 'portmap', capabilities: {portMappings: true, dns: false}},
		],
	});
	const config = parseNetworkConfig('10-net.conflist', text);
	t.like(config, {name: 'net', cniVersion: '1.0.0', source: '10-net.conflist'});
	t.deepEqual(config.plugins[0], {type: 'bridge', mtu: 1400});
	t.deepEqual([...capabilitiesOf(config.plugins[1]!)], ['portMappings']);
});

for (const ending of ['conf', 'json']) {
	test(`parseNetworkConfig makes a list of the single plugin of a .${ending} file`, t => {
		const config = parseNetworkConfig(`1.${ending}`, JSON.stringify({cniVersion: '0.3.1', name: 'net', type: 'ptp', mtu: 9}));
		t.is(config.plugins.length, 1);
		t.like(config.plugins[0], {type: 'ptp', mtu: 9});
	});
}

test('parseNetworkConfig takes the highest of cniVersions that it speaks', t => {
	const of = (versions: object): string => parseNetworkConfig('a.conflist', JSON.stringify({name: 'n', plugins: [{type: 'x'}], ...versions})).cniVersion;
	t.is(of({cniVersion: '0.4.0', cniVersions: ['0.4.0', '1.0.0', '9.0.0']}), '1.0.0');
	t.is(of({cniVersion: '1.1.0'}), '1.1.0');
});

const bad: readonly (readonly [string, string, string, RegExp])[] = [
	['truncated JSON', 'a.conflist', '{"name":', /^a\.conflist: not JSON: /],
	['not an object', 'a.conflist', '[]', /^a\.conflist: must be a JSON object/],
	['no name', 'a.conflist', '{"cniVersion":"1.0.0","plugins":[{"type":"x"}]}', /^a\.conflist: name: /],
	['a name with a slash', 'a.conflist', '{"cniVersion":"1.0.0","name":"../x","plugins":[{"type":"x"}]}', /: name: /],
	['no version', 'a.conflist', '{"name":"n","plugins":[{"type":"x"}]}', /: cniVersion: must be one of 0\.3\.1, 0\.4\.0, 1\.0\.0, 1\.1\.0, is null/],
	['an old version', 'a.conflist', '{"cniVersion":"0.2.0","name":"n","plugins":[{"type":"x"}]}', /: cniVersion: .* is "0\.2\.0"/],
	['no plugins', 'a.conflist', '{"cniVersion":"1.0.0","name":"n","plugins":[]}', /: plugins: /],
	['a plugin without type', 'a.conflist', '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"x"},{}]}', /: plugins\[1\]\.type: /],
	[
		'a plugin type that is a path',
		'a.conflist',
		'{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"../../bin/sh"}]}',
		/: plugins\[0\]\.type: must be the file name/,
	],
	['a plugin that is a string', 'a.conflist', '{"cniVersion":"1.0.0","name":"n","plugins":["x"]}', /: plugins\[0\]: must be a JSON object/],
	[
		'capabilities as a list',
		'a.conflist',
		'{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"x","capabilities":["dns"]}]}',
		/: plugins\[0\]\.capabilities: /,
	],
	['a list in a .conf', 'a.conf', '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"x"}]}', /: plugins: .*\.conflist/],
	['a .conf without type', 'a.conf', '{"cniVersion":"1.0.0","name":"n"}', /^a\.conf: type: /],
];
for (const [what, file, text, message] of bad) {
	test(`parseNetworkConfig refuses ${what}, naming file and field`, t => {
		t.throws(() => parseNetworkConfig(file, text), {instanceOf: InvalidArgumentError, message});
	});
}

test('isConfigFileName takes the endings that libcni takes', t => {
	t.deepEqual(['a.conf', 'b.conflist', 'c.json', 'd.conf.bak', 'conf', '.x.swp'].filter(isConfigFileName), ['a.conf', 'b.conflist', 'c.json']);
});
