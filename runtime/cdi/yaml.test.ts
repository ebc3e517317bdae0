import test from 'ava';
import fc from 'fast-check';
import {parseYaml, YamlError} from './yaml.js';

const NVIDIA = `---
# As device plugins write it.
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
    permissions: rw
  env:
  - NVIDIA_VISIBLE_DEVICES=void   # not yet
  hooks:
  - args: [nvidia-ctk, hook, "create-symlinks", --link, 'it''s::/x']
    hookName: createContainer
    path: /usr/bin/nvidia-ctk
devices:
  - containerEdits:
      deviceNodes:
        - path: "/dev/nvidia0"
          fileMode: 0666
          major: 195
    name: "0"
  -
    name: all
    annotations: {}
kind: nvidia.com/gpu
`;

test('a specification as device plugins write it', t => {
	t.deepEqual(parseYaml(NVIDIA), {
		cdiVersion: '0.5.0',
		containerEdits: {
			deviceNodes: [{path: '/dev/nvidiactl', permissions: 'rw'}],
			env: ['NVIDIA_VISIBLE_DEVICES=void'],
			hooks: [{args: ['nvidia-ctk', 'hook', 'create-symlinks', '--link', "it's::/x"], hookName: 'createContainer', path: '/usr/bin/nvidia-ctk'}],
		},
		devices: [
			{containerEdits: {deviceNodes: [{path: '/dev/nvidia0', fileMode: 0o666, major: 195}]}, name: '0'},
			{name: 'all', annotations: {}},
		],
		kind: 'nvidia.com/gpu',
	});
});

for (const [text, value] of [
	['', null],
	['# nothing\n', null],
	['word', 'word'],
	['a:\nb: ~\nc: ""', {a: null, b: null, c: ''}],
	['a: true\nb: False\nc: -5\nd: 0x1f\ne: 0o17\nf: 1.5\ng: 1e3\nh: 1.2.3', {a: true, b: false, c: -5, d: 31, e: 15, f: 1.5, g: 1000, h: '1.2.3'}],
	['- - 1\n  - 2\n- - 3', [[1, 2], [3]]],
	['- a: 1\n  b:\n  - x\n  - y\n- c', [{a: 1, b: ['x', 'y']}, 'c']],
	['a: {b: [1, {c: d}], e: , "f": g}', {a: {b: [1, {c: 'd'}], e: null, f: 'g'}}],
	['a: http://x.example/#y # z', {a: 'http://x.example/#y'}],
	['"a b": "\\u00e9\\n\\"#\\""', {'a b': 'é\n"#"'}],
	["'it''s': 'a # b'", {"it's": 'a # b'}],
	['a: -x\n-b: y', {a: '-x', '-b': 'y'}],
	['__proto__: 1', Object.fromEntries([['__proto__', 1]])],
	['a: [nested, "with, comma", \'and: colon\']\r\n', {a: ['nested', 'with, comma', 'and: colon']}],
] as const) {
	test(`YAML: ${JSON.stringify(text)}`, t => t.deepEqual(parseYaml(text), value as unknown));
}

for (const [text, says] of [
	['a: &x 1', /line 1: what "&" begins/],
	['a: *x', /line 1: what "\*" begins/],
	['a: !!str 1', /line 1: what "!" begins/],
	['a: |\n  text', /line 1: what "\|" begins/],
	['a: >\n  text', /line 1: what ">" begins/],
	['a: 1\na: 2', /line 2: the key "a" comes twice/],
	['a: {b: 1, b: 2}', /line 1: the key "b" comes twice/],
	['a: 1\n---\nb: 2', /line 2: only one document/],
	['%YAML 1.2\na: 1', /line 1: only one document/],
	['a:\n\tb: 1', /line 2: a tab/],
	['a: 1\n   b: 2', /line 2: its indentation fits nothing/],
	['  a: 1\nb: 2', /line 2: its indentation fits nothing/],
	['- a\nb: 1', /line 2: its indentation fits nothing/],
	['a: 1\nword', /line 2: neither/],
	['a: "x', /line 1: a string in quotes/],
	["a: 'x", /line 1: a string in quotes/],
	['a: "\\q"', /line 1: "\\q" is no escape/],
	['a: "\\UFFFFFFFF"', /line 1: .* is no escape/],
	['a: [1, 2', /line 1: a sequence in brackets/],
	['a: {b: 1', /line 1: a mapping in braces/],
	['a: [1] 2', /line 1: "\s*2" after the end/],
	['a: b: c', /line 1: a mapping where a value/],
	['a: "x" y', /line 1: " y" after the end/],
] as const) {
	test(`YAML is refused by its line: ${JSON.stringify(text)}`, t => {
		t.throws(() => parseYaml(text), {instanceOf: YamlError, message: says});
	});
}

test('any text is read or refused, never more and never for long', t => {
	fc.assert(
		fc.property(fc.string({unit: fc.constantFrom(...Array.from('ab:- \n\'"[]{},#\\0&')), maxLength: 60}), text => {
			try {
				parseYaml(text);
			} catch (error) {
				if (!(error instanceof YamlError)) throw error;
			}
		}),
		{numRuns: 3000},
	);
	t.pass();
});

test('what JSON writes in one line is read back, as flow YAML', t => {
	fc.assert(
		fc.property(fc.jsonValue({maxDepth: 3, noUnicodeString: false} as never), value => {
			const read = parseYaml(JSON.stringify({value}));
			t.deepEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify({value})));
		}),
		{numRuns: 300},
	);
});

test('a long line is read in the time of its length', t => {
	const blanks = ' '.repeat(1 << 19);
	t.is(parseYaml(`a${blanks}b`), `a${blanks}b`);
	t.deepEqual(parseYaml(`a${blanks}: b`), {a: 'b'});
	t.deepEqual(parseYaml(`"a"${blanks}: b`), {a: 'b'});
});
