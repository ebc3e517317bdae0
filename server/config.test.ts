import test, {type ExecutionContext} from 'ava';
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {parse} from 'smol-toml';
import {InvalidArgumentError} from '../base/errors.js';
import {KEYS} from './config-schema.js';
import {defaultToml, toToml} from './config-text.js';
import {loadConfig} from './config.js';
import {temporaryDirectory} from './fake-daemon.js';
import {toCniOptions, toImageOptions, toRuntimeOptions} from './options.js';

/** A config file of the given content, and drop-ins by name. */
async function configFile(t: ExecutionContext, content: string, dropIns: Readonly<Record<string, string>> = {}): Promise<string> {
	const path = `${await temporaryDirectory(t)}/berth.toml`;
	await writeFile(path, content);
	await mkdir(`${path}.d`);
	for (const [name, dropIn] of Object.entries(dropIns)) await writeFile(`${path}.d/${name}`, dropIn);
	return path;
}

for (const [what, content, message] of [
	['an unknown key', 'root_dir = "/a"\nroot = "/b"\n', ':2: root: unknown key'],
	['an unknown key in a table', '[network]\nconf_dirs = "/b"\n', ':2: network.conf_dirs: unknown key'],
	['an unknown table', '\n[nri]\nenabled = true\n', ':2: nri: unknown key'],
	['a wrong type', 'root_dir = 5\n', ':1: root_dir: must be a string, is 5'],
	['a value for a table', 'log = "debug"\n', ':1: log: must be a table, is "debug"'],
	['a relative path', 'root_dir = "var/lib"\n', ':1: root_dir: must be an absolute path, is "var/lib"'],
	['a path with ..', 'run_dir = "/run/../etc"\n', ':1: run_dir: must not contain "..", is "/run/../etc"'],
	['a level that does not exist', '[log]\n# how much\nlevel = "trace"\n', ':3: log.level: must be one of "debug", "info", "warn", "error", is "trace"'],
	['a number out of range', '[runtime]\nmax_log_line_bytes = 1\n', ':2: runtime.max_log_line_bytes: must be a whole number from 256 to 1048576, is 1'],
	['a fraction', '[streaming]\nport = 80.5\n', ':2: streaming.port: must be a whole number from 0 to 65535, is 80.5'],
	['a port out of range', '[streaming]\nport = 65536\n', ':2: streaming.port: must be a whole number from 0 to 65535, is 65536'],
	['an address that is none', '[streaming]\naddress = "localhost"\n', ':2: streaming.address: must be an IP address, is "localhost"'],
	[
		'a subnet without a prefix',
		'[network.embedded]\nsubnets = ["10.0.0.0"]\n',
		':2: network.embedded.subnets.0: must be an IPv4 subnet with a prefix of 8 to 30 bits, such as "10.88.0.0/16", is "10.0.0.0"',
	],
	[
		'a bridge name that is too long',
		'[network.embedded]\nbridge = "abcdefghijklmnop"\n',
		':2: network.embedded.bridge: must be an interface name of 1 to 15 characters, is "abcdefghijklmnop"',
	],
	['no plugin directory', '[network]\nbin_dirs = []\n', ':2: network.bin_dirs: must name at least one directory, is []'],
	[
		'a mirror without a scheme',
		'[image.registries."registry.k8s.io"]\nmirrors = ["127.0.0.1:5000"]\n',
		':2: image.registries.registry.k8s.io.mirrors.0: must be a base URL such as "https://mirror.example:5000" without user, query or fragment, is "127.0.0.1:5000"',
	],
	['an unknown key of a registry', '[image.registries."quay.io"]\ninsecure = true\n', ':2: image.registries.quay.io.insecure: unknown key'],
	[
		'a handler of a type that does not exist',
		'[runtime.handlers.kata]\ntype = "vm"\n',
		':2: runtime.handlers.kata.type: must be one of "native", "oci", "shim-v2", is "vm"',
	],
	[
		'a path for the native handler',
		'[runtime.handlers.mine]\ntype = "native"\npath = "/usr/bin/runc"\n',
		':1: runtime.handlers.mine: must have a path, except with type "native", which has none, is {"type":"native","path":"/usr/bin/runc","options":[],"timeout_ms":60000}',
	],
	['an unknown key of a handler', '[runtime.handlers.mine]\ntype = "native"\nroot = "/r"\n', ':3: runtime.handlers.mine.root: unknown key'],
	[
		'a group of metrics that does not exist',
		'[stats]\nincluded_pod_metrics = ["cpu", "gpu"]\n',
		':2: stats.included_pod_metrics.1: must be one of "cpu", "memory", "oom", "network", "disk", "diskIO", "process", "spec", "pressure", "hugetlb", is "gpu"',
	],
	[
		'a capability without CAP_',
		'[runtime]\ndefault_capabilities = ["CHOWN"]\n',
		':2: runtime.default_capabilities.0: must be the name of a capability such as "CAP_CHOWN", is "CHOWN"',
	],
] as const) {
	test(`loadConfig refuses ${what}, naming file, line, key and rule`, async t => {
		const path = await configFile(t, content);
		await t.throwsAsync(loadConfig(path, {}), {instanceOf: InvalidArgumentError, message: `${path}${message}`});
	});
}

test('loadConfig refuses what is not TOML in one line, naming file and line', async t => {
	const path = await configFile(t, 'root_dir = "/a"\nrun_dir "/b"\n');
	const error = await t.throwsAsync(loadConfig(path, {}), {instanceOf: InvalidArgumentError});
	t.true(error.message.startsWith(`${path}:2: `), error.message);
	t.false(error.message.includes('\n'));
});

test('loadConfig refuses a file that was asked for and is missing', async t => {
	const path = `${await temporaryDirectory(t)}/none.toml`;
	await t.throwsAsync(loadConfig(path, {}), {message: `${path}: cannot be read: ENOENT`});
});

test('loadConfig names the drop-in file that is wrong', async t => {
	const path = await configFile(t, '', {'10-a.toml': '[log]\nlevel = 3\n'});
	await t.throwsAsync(loadConfig(path, {}), {message: `${path}.d/10-a.toml:2: log.level: must be one of "debug", "info", "warn", "error", is 3`});
});

test('loadConfig names the flag that is wrong', async t => {
	const path = await configFile(t, '');
	await t.throwsAsync(loadConfig(path, {root_dir: 'here'}), {message: 'flag --root-dir: must be an absolute path, is "here"'});
	await t.throwsAsync(loadConfig(path, {log_level: 'loud'}), {message: 'flag --log-level: must be one of "debug", "info", "warn", "error", is "loud"'});
});

test('loadConfig: file, then drop-ins by name, then flags; the last word wins, key by key', async t => {
	const path = await configFile(t, 'root_dir = "/file"\nrun_dir = "/file"\n[log]\nlevel = "warn"\nformat = "json"\n', {
		'20-b.toml': 'root_dir = "/b"\n[image.registries."quay.io"]\nplain_http = true\n',
		'10-a.toml': 'root_dir = "/a"\n[log]\nlevel = "error"\n',
		'30-c.conf': 'root_dir = "/not read"\n',
		'.hidden.toml': 'root_dir = "/not read"\n',
	});
	const {config, files} = await loadConfig(path, {socket: '/flag.sock', log_level: undefined});
	t.deepEqual(files, [path, `${path}.d/10-a.toml`, `${path}.d/20-b.toml`]);
	t.like(config, {root_dir: '/b', run_dir: '/file', socket: '/flag.sock', log: {level: 'error', format: 'json'}});
	t.deepEqual(config.image.registries, {'quay.io': {mirrors: [], plain_http: true, insecure_skip_verify: false, ca_file: ''}});
	t.is(config.streaming.port, KEYS.streaming.port.default);
});

test('defaultToml is valid and says the defaults', async t => {
	const text = defaultToml();
	const {config: defaults} = await loadConfig(await configFile(t, ''), {});
	const uncommented = text
		.split('\n')
		.map(line => line.replace(/^#(?! )/, ''))
		.join('\n');
	t.deepEqual(parse(text.replaceAll(/^#.*$/gm, '')), parse('[log]\n[image]\n[network.embedded]\n[streaming]\n[metrics]\n[stats]\n[runtime]\n'));
	const {config} = await loadConfig(await configFile(t, uncommented), {});
	t.deepEqual(config, defaults);
});

test('install/berth.toml is what `berth config default` prints', async t => {
	const installed = await readFile(new URL('../../server/install/berth.toml', import.meta.url), 'utf8');
	t.is(installed, defaultToml());
});

test('toToml prints a config that reads back as the same', async t => {
	const path = await configFile(
		t,
		'[log]\nlevel = "debug"\n[image]\npinned = ["a*"]\n[image.registries."registry.k8s.io"]\nmirrors = ["http://127.0.0.1:5000"]\n[image.registries._default]\nplain_http = true\n',
	);
	const {config} = await loadConfig(path, {});
	const again = await loadConfig(await configFile(t, toToml(config)), {});
	t.deepEqual(again.config, config);
});

test('the config fills the options of every room', async t => {
	const path = await configFile(t, 'root_dir = "/r"\n[image.registries."quay.io"]\nmirrors = ["http://127.0.0.1:5000"]\nca_file = "/ca.pem"\n');
	const {config} = await loadConfig(path, {});
	t.deepEqual(toRuntimeOptions(config, 'boot').handlers, []);
	t.like(toRuntimeOptions(config, 'boot'), {
		rootDir: '/r',
		netnsDir: '/run/netns',
		cgroupRoot: '/berth',
		maxLogLineBytes: 16_384,
		bootId: 'boot',
		seccompProfilePath: '',
		podMetrics: ['cpu', 'memory', 'oom', 'network', 'disk', 'diskIO', 'process', 'spec', 'pressure', 'hugetlb'],
	});
	t.is(toRuntimeOptions(config, 'boot').defaultCapabilities.length, 14);
	t.deepEqual(toImageOptions(config, 'x64').platform, {os: 'linux', architecture: 'amd64', variant: null});
	t.deepEqual(toImageOptions(config, 'arm64').platform, {os: 'linux', architecture: 'arm64', variant: 'v8'});
	t.deepEqual(toImageOptions(config, 'x64').registries, {
		'quay.io': {mirrors: ['http://127.0.0.1:5000'], plainHttp: false, insecureSkipVerify: false, caFile: '/ca.pem'},
	});
	t.deepEqual(toCniOptions(config).embedded, {bridge: 'berth0', subnets: ['10.88.0.0/16'], dataDir: '/r/cni/addresses'});
	const {config: aliased} = await loadConfig(await configFile(t, '[runtime.handlers.test-handler]\ntype = "native"\n'), {});
	t.deepEqual(toRuntimeOptions(aliased, 'boot').handlers, [{name: 'test-handler', type: 'native', path: '', options: [], timeoutMs: 60_000}]);
	const {config: without} = await loadConfig(await configFile(t, '[network.embedded]\nenabled = false\n'), {});
	t.is(toCniOptions(without).embedded, null);
});
