import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {InvalidArgumentError} from '../../base/errors.js';
import {parseReference} from '../reference.js';
import type {Endpoint} from './endpoint.js';
import {temporaryDirectory} from './fake-server.js';
import {findEndpoints} from './find-endpoints.js';

/** Endpoints of `image` with the given files below the config dir. */
async function endpointsOf(t: ExecutionContext, image: string, files: Readonly<Record<string, string>>, registries = {}): Promise<readonly Endpoint[]> {
	const registryConfigDir = await temporaryDirectory(t);
	for (const [path, content] of Object.entries(files)) {
		await mkdir(join(registryConfigDir, path, '..'), {recursive: true});
		await writeFile(join(registryConfigDir, path), content);
	}
	return await findEndpoints(parseReference(image), {registries, registryConfigDir});
}

function toBases(endpoints: readonly Endpoint[]): readonly string[] {
	return endpoints.map(({base}) => base.href);
}

test('without any configuration a registry is asked by https, docker.io at its real host', async t => {
	t.deepEqual(toBases(await endpointsOf(t, 'quay.io/a:1', {})), ['https://quay.io/v2/']);
	t.deepEqual(toBases(await endpointsOf(t, 'busybox', {})), ['https://registry-1.docker.io/v2/']);
	t.deepEqual(toBases(await endpointsOf(t, 'localhost:5000/a', {})), ['https://localhost:5000/v2/', 'http://localhost:5000/v2/']);
	t.deepEqual(toBases(await endpointsOf(t, 'localhost/a', {})), ['https://localhost/v2/']);
});

test('every key of hosts.toml is read, hosts in their order, the server last', async t => {
	const [mirror, other, server, ...more] = await endpointsOf(t, 'docker.io/a/b:1', {
		'docker.io/hosts.toml': `server = "https://docker.io"
ca = ["/root.pem", "rel.pem"]
[host."https://mirror.example:5000/proxy"]
capabilities = ["pull", "resolve"]
ca = "ca.pem"
client = [["c.cert", "c.key"], "/both.pem", ["d.pem", ""]]
skip_verify = true
dial_timeout = "1m1.5s"
[host."https://mirror.example:5000/proxy".header]
X-One = "1"
x-two = ["a", "b"]
[host."http://other.example/api"]
override_path = true
client = "both.pem"
capabilities = ["pull", "referrers"]
`,
	});
	t.deepEqual(more, []);
	const dir = mirror?.tls.caFiles[0]?.replace(/\/ca\.pem$/, '');
	t.like(mirror, {isMirror: true, capabilities: ['pull', 'resolve'], dialTimeoutMs: 61_500, headers: {'x-one': ['1'], 'x-two': ['a', 'b']}});
	t.is(mirror?.base.href, 'https://mirror.example:5000/proxy/v2/');
	t.deepEqual(mirror?.tls, {
		caFiles: [`${dir}/ca.pem`],
		clientPairs: [
			{certFile: `${dir}/c.cert`, keyFile: `${dir}/c.key`},
			{certFile: '/both.pem', keyFile: null},
			{certFile: `${dir}/d.pem`, keyFile: null},
		],
		skipVerify: true,
	});
	t.is(other?.base.href, 'http://other.example/api/');
	t.like(other, {capabilities: ['pull'], tls: {clientPairs: [{certFile: `${dir}/both.pem`, keyFile: null}]}});
	t.is(server?.base.href, 'https://registry-1.docker.io/v2/');
	t.like(server, {
		isMirror: false,
		capabilities: ['pull', 'resolve', 'push'],
		dialTimeoutMs: null,
		tls: {caFiles: ['/root.pem', `${dir}/rel.pem`], skipVerify: false},
	});
});

test('a registry with a port is found under host_port_, then under host:port', async t => {
	const one = {'r.example_5000_/hosts.toml': 'server = "http://one"', 'r.example:5000/hosts.toml': 'server = "http://two"'};
	t.deepEqual(toBases(await endpointsOf(t, 'r.example:5000/a', one)), ['http://one/v2/']);
	const {['r.example:5000/hosts.toml']: two} = one;
	t.deepEqual(toBases(await endpointsOf(t, 'r.example:5000/a', {'r.example:5000/hosts.toml': two})), ['http://two/v2/']);
});

test('a host with /v2, without scheme, and with credentials in the URL', async t => {
	const toml = 'server = "r.example/v2/"\n[host."mirror.example"]\n';
	t.deepEqual(toBases(await endpointsOf(t, 'quay.io/a', {'quay.io/hosts.toml': toml})), ['https://mirror.example/v2/', 'https://r.example/v2/']);
	await t.throwsAsync(endpointsOf(t, 'quay.io/a', {'quay.io/hosts.toml': 'server = "https://user:secret@r.example"'}), {
		instanceOf: InvalidArgumentError,
		message: /quay\.io\/hosts\.toml: server: must be a host or/,
	});
});

test('what names the host counts before what is for all, berth.toml before the files', async t => {
	const files = {'quay.io/hosts.toml': 'server = "http://file"', '_default/hosts.toml': 'server = "http://all"'};
	const table = {mirrors: ['http://m'], plainHttp: true, insecureSkipVerify: false, caFile: null};
	t.deepEqual(toBases(await endpointsOf(t, 'quay.io/a', files, {'quay.io': table})), ['http://m/v2/', 'http://quay.io/v2/']);
	t.deepEqual(toBases(await endpointsOf(t, 'quay.io/a', files, {_default: table})), ['http://file/v2/']);
	t.deepEqual(toBases(await endpointsOf(t, 'gcr.io/a', files, {_default: table})), ['http://m/v2/', 'http://gcr.io/v2/']);
	const [all] = await endpointsOf(t, 'gcr.io/a', files);
	// A server for all registries is no registry: it must not get their credentials.
	t.like(all, {isMirror: true});
	t.is(all?.base.href, 'http://all/v2/');
});

test("a directory with only certificates is Docker's layout", async t => {
	const [own] = await endpointsOf(t, 'quay.io/a', {'quay.io/ca.crt': '', 'quay.io/c.cert': '', 'quay.io/c.key': '', 'quay.io/d.cert': ''});
	t.regex(own?.tls.caFiles[0] ?? '', /quay\.io\/ca\.crt$/);
	t.deepEqual(
		own?.tls.clientPairs.map(({certFile, keyFile}) => [certFile.slice(-6), keyFile?.slice(-5)]),
		[
			['c.cert', 'c.key'],
			['d.cert', undefined],
		],
	);
});

for (const [what, toml, message] of [
	['an unknown key', 'servr = "x"', 'servr: unknown key'],
	['an unknown key of a host', '[host."https://m"]\nskip-verify = true', 'host.https://m.skip-verify: unknown key'],
	['a nested host', '[host."https://m".host."https://n"]', 'host.https://m.host: unknown key'],
	['an unknown capability', '[host."https://m"]\ncapabilities = ["fetch"]', 'host.https://m.capabilities.0: must be "pull", "resolve", "push" or "referrers"'],
	['a wrong type', 'skip_verify = "yes"', 'skip_verify: must be true or false'],
	['a ca that is no path', 'ca = 5', 'ca: must be a path or an array of paths'],
	['a client that is a triple', 'client = [["a", "b", "c"]]', 'client: must be a path, or an array of paths or pairs of paths'],
	['a duration without unit', 'dial_timeout = "5"', 'dial_timeout: must be a duration such as "1s" or "500ms"'],
	['a file URL', '[host."file:///etc"]', 'host.file:///etc: must be a host or an http(s):// URL without user, query or fragment'],
	['a header with a line break', '[header]\nx = "a\\r\\nb: c"', 'header.x: must be printable ASCII'],
	['no TOML', 'server = [', ''],
] as const) {
	test(`hosts.toml with ${what} is refused, naming file and key`, async t => {
		const error = await t.throwsAsync(endpointsOf(t, 'quay.io/a', {'quay.io/hosts.toml': toml}), {instanceOf: InvalidArgumentError});
		t.regex(error.message, /\/quay\.io\/hosts\.toml:/);
		t.true(error.message.endsWith(message), error.message);
	});
}
