import {mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {PROJECT_DIR} from '../fixtures/images.js';
import {run} from '../rig/command.js';

const CASES: readonly {readonly what: string; readonly lines: string; readonly says: RegExp}[] = [
	{what: 'an unknown key', lines: '[log]\nlevle = "info"', says: /berth\.toml:\d+: log\.levle: unknown key/},
	{
		what: 'a value of the wrong type',
		lines: '[network]\nplugin_timeout_ms = "soon"',
		says: /berth\.toml:\d+: network\.plugin_timeout_ms: must be a whole number/,
	},
	{what: 'a value out of range', lines: '[streaming]\nport = 70000', says: /berth\.toml:\d+: streaming\.port: .*65535/},
	{what: 'a relative path', lines: 'netns_dir = "netns"', says: /berth\.toml:\d+: netns_dir: must be an absolute path/},
	{what: 'text that is no TOML', lines: '[log', says: /berth\.toml:\d+: /},
	{
		what: 'a mirror that is no URL',
		lines: '[image.registries."registry.k8s.io"]\nmirrors = ["localhost:5000"]',
		says: /berth\.toml:\d+: image\.registries\.registry\.k8s\.io\.mirrors.*must be a base URL/,
	},
];

for (const {what, lines, says} of CASES) {
	test.serial(`a config file with ${what}: the daemon does not start, says file, line, key and rule, and makes nothing`, async t => {
		const directory = await mkdtemp(join(tmpdir(), 'berth-config-'));
		try {
			const roots = ['root_dir', 'run_dir'].map(key => `${key} = "${directory}/${key}"`).join('\n');
			await writeFile(join(directory, 'berth.toml'), `${roots}\nsocket = "${directory}/berth.sock"\n${lines}\n`);
			const {exitCode, stderr} = await run([join(PROJECT_DIR, 'bin/berth'), 'serve', '--config', join(directory, 'berth.toml')], {timeoutMs: 20_000});
			t.is(exitCode, 1);
			t.regex(stderr, says);
			t.is(stderr.trimEnd().split('\n').length, 1, stderr);
			t.deepEqual(await readdir(directory), ['berth.toml']);
		} finally {
			await rm(directory, {recursive: true, force: true});
		}
	});
}

test.serial('a config file that does not exist is named', async t => {
	const {exitCode, stderr} = await run([join(PROJECT_DIR, 'bin/berth'), 'serve', '--config', '/no/such/berth.toml'], {timeoutMs: 20_000});
	t.is(exitCode, 1);
	t.regex(stderr, /\/no\/such\/berth\.toml/);
});
