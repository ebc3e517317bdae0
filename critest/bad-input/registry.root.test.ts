import {chmod, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import {addImage, toDigest, toLayer, type Descriptor, type Layer} from '../fixtures/content.js';
import type {Fault} from '../fixtures/faults.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';

/** The shortest that the config takes; a trickle is found out after one to two of them. */
const running = useDaemon(test, {
	image: ({baseDir}) => `stall_timeout_ms = 1000
auth_files = [${JSON.stringify(join(baseDir, 'auth.json'))}]
credential_helper_dirs = [${JSON.stringify(join(baseDir, 'helpers'))}]`,
});

function host(): string {
	return new URL(running().registry.url).host;
}

/** The registry by its own address, through a hosts.toml: nobody else is asked. */
async function writeHosts(lines = ''): Promise<void> {
	const dir = join(running().daemon.places.certsDir, host());
	await mkdir(dir, {recursive: true});
	await writeFile(join(dir, 'hosts.toml'), `server = "${running().registry.url}"\n${lines}`);
}
test.serial.beforeEach('hosts.toml', async () => await writeHosts());

interface Published {
	readonly image: string;
	/** "repository:tag", for faults of the index. */
	readonly tag: string;
	readonly index: Descriptor;
	readonly layer: Layer;
	readonly layerDigest: string;
}

/** An image of one layer of its own. */
function publish(name: string): Published {
	const {content} = running();
	const layer = toLayer([{type: 'file', path: 'x', content: `${name} `.repeat(20_000)}], 'none');
	const index = addImage(content.blobs, {format: 'oci', layers: [layer], config: {Cmd: ['/x']}});
	const tag = `faulty/${name}:1`;
	content.tags.set(tag, index);
	return {image: `${host()}/${tag}`, tag, index, layer, layerDigest: toDigest(layer.blob)};
}

function pull(image: string): Promise<{readonly image_ref: string}> {
	return running().daemon.cri.image('PullImage', {image: {image}}, 120_000);
}

/** No image, and no half-made layer. */
async function assertNothingLeft(t: ExecutionContext, image: string): Promise<void> {
	const {daemon} = running();
	t.is((await daemon.cri.image('ImageStatus', {image: {image}})).image, null);
	t.deepEqual(
		(await readdir(join(daemon.places.rootDir, 'layers'))).filter(name => /^(?:new|gone)-/.test(name)),
		[],
	);
}

/** Refused as told, nothing left; pulled once the registry is well; removed. */
async function assertRefusedThenPulled(t: ExecutionContext, {image}: Published, {key, fault}: {key: string; fault: Fault}, code: status, message: RegExp) {
	const {registry, daemon} = running();
	registry.faults.set(key, fault);
	try {
		await assertRefused(t, code, message, pull(image));
	} finally {
		registry.faults.delete(key);
	}
	await assertNothingLeft(t, image);
	await pull(image);
	await daemon.cri.image('RemoveImage', {image: {image}});
}

for (const [name, fault, code, message] of [
	['garbage', {kind: 'garbage'}, status.DATA_LOSS, /faulty\/garbage:1: 127\.0\.0\.1:\d+: sends a manifest that is not a JSON object/],
	['oversize', {kind: 'endless', declaredBytes: 5 << 20}, status.DATA_LOSS, /faulty\/oversize:1: .*longer than 4194304 bytes/],
	['endless', {kind: 'endless', declaredBytes: null}, status.DATA_LOSS, /faulty\/endless:1: .*longer than 4194304 bytes/],
	['short', {kind: 'length', declaredBytes: 7}, status.DATA_LOSS, /faulty\/short:1: .*not a JSON object/],
	['headers', {kind: 'headers', bytes: 100_000}, status.DATA_LOSS, /faulty\/headers:1: .*no valid HTTP/],
	['encoded', {kind: 'gzip'}, status.DATA_LOSS, /faulty\/encoded:1: .*Content-Encoding "gzip"/],
	[
		'circle',
		{kind: 'redirect', location: '/v2/faulty/circle/manifests/1'},
		status.UNKNOWN,
		/^RegistryUnavailable: .*faulty\/circle:1: .*redirects more than 5 times/,
	],
	['file', {kind: 'redirect', location: 'file:///etc/shadow'}, status.PERMISSION_DENIED, /faulty\/file:1: .*file:\/\/\/etc\/shadow", which is no http URL/],
	['down', {kind: 'status', code: 502}, status.UNKNOWN, /^RegistryUnavailable: .*faulty\/down:1: .*answers 502/],
	[
		'loop-401',
		{kind: 'status', code: 401, headers: {'www-authenticate': 'Basic realm="again"'}},
		status.PERMISSION_DENIED,
		/faulty\/loop-401:1: .*wants credentials \(401\)/,
	],
] as readonly [string, Fault, status, RegExp][]) {
	test.serial(`a manifest is refused: ${name}`, async t => {
		const published = publish(name);
		await assertRefusedThenPulled(t, published, {key: published.tag, fault}, code, message);
	});
}

for (const [name, fault, code, message] of [
	['slow-loris', {kind: 'trickle', everyMs: 50}, status.UNKNOWN, /^RegistryUnavailable: blob sha256:.* stalls: /],
	['no-byte', {kind: 'hang'}, status.UNKNOWN, /^RegistryUnavailable: blob sha256:.* stalls: no byte for 1000 ms/],
	['lie', {kind: 'length', declaredBytes: 5000}, status.DATA_LOSS, /blob sha256:|layer sha256:/],
	['other-end', {kind: 'changed', afterBytes: 70_000}, status.DATA_LOSS, /layer (?:has digest )?sha256:[0-9a-f]{64}/],
] as readonly [string, Fault, status, RegExp][]) {
	test.serial(`a layer is refused: ${name}`, async t => {
		const published = publish(name);
		await assertRefusedThenPulled(t, published, {key: published.layerDigest, fault}, code, message);
	});
}

test.serial('an index whose entry is served as the index again is refused', async t => {
	const {content} = running();
	const {image, tag} = publish('cyclic');
	const entry = `sha256:${'c'.repeat(64)}`;
	const mediaType = 'application/vnd.oci.image.index.v1+json';
	const bytes = Buffer.from(JSON.stringify({schemaVersion: 2, mediaType, manifests: [{mediaType, digest: entry, size: 300}]}));
	for (const digest of [toDigest(bytes), entry]) content.blobs.set(digest, bytes);
	content.tags.set(tag, {mediaType, digest: toDigest(bytes), size: bytes.length});
	await assertRefused(t, status.DATA_LOSS, /faulty\/cyclic@sha256:cccc.*must be sha256:cccc/, pull(image));
	await assertNothingLeft(t, image);
	content.blobs.delete(entry);
});

test.serial('indexes in indexes end', async t => {
	const {content} = running();
	const {image, tag, index} = publish('nested');
	let inner: Descriptor = index;
	for (let depth = 0; depth < 10; depth++) {
		const bytes = Buffer.from(JSON.stringify({schemaVersion: 2, mediaType: index.mediaType, manifests: [inner]}));
		inner = {mediaType: index.mediaType, digest: toDigest(bytes), size: bytes.length};
		content.blobs.set(inner.digest, bytes);
	}
	content.tags.set(tag, inner);
	await assertRefused(t, status.DATA_LOSS, /deep/, pull(image));
	await assertNothingLeft(t, image);
});

test.serial('a registry that asks for patience gets it', async t => {
	const {registry, daemon} = running();
	const {image, tag, layerDigest} = publish('patience');
	registry.faults.set(tag, {kind: 'status', code: 429, headers: {'retry-after': '1'}, times: 2});
	registry.faults.set(layerDigest, {kind: 'status', code: 503, times: 2});
	const before = registry.requests.length;
	await pull(image);
	const statuses = registry.requests.slice(before).map(request => request.status);
	t.deepEqual([statuses.filter(code => code === 429).length, statuses.filter(code => code === 503).length], [2, 2]);
	registry.faults.clear();
	await daemon.cri.image('RemoveImage', {image: {image}});
});

test.serial('a hosts.toml that is wrong is named, and read anew when it is right', async t => {
	const {daemon} = running();
	const {image} = publish('config');
	await writeHosts('skip-verify = true\n');
	try {
		await assertRefused(t, status.INVALID_ARGUMENT, /hosts\.toml: skip-verify: unknown key/, pull(image));
		await assertNothingLeft(t, image);
	} finally {
		await writeHosts();
	}
	await pull(image);
	await daemon.cri.image('RemoveImage', {image: {image}});
});

test.serial('credentials come from a helper, and its failing is said without its words', async t => {
	const {registry, daemon} = running();
	const {image, tag} = publish('private');
	const repository = tag.replace(/:1$/, '');
	registry.credentials.set(repository, 'robot:hunter2');
	try {
		await assertRefused(t, status.PERMISSION_DENIED, /wants credentials/, pull(image));
		await writeFile(join(daemon.places.baseDir, 'auth.json'), JSON.stringify({credHelpers: {[host()]: 'fixture'}}));
		await assertRefused(t, status.UNKNOWN, /docker-credential-fixture .*auth\.json\) is not in/, pull(image));
		const helper = await writeHelper(`read server; [ "$server" = ${host()} ] && echo '{"Username":"robot","Secret":"hunter2"}'`);
		await pull(image);
		await daemon.cri.image('RemoveImage', {image: {image}});
		await writeFile(helper, '#!/bin/sh\necho hunter2; echo hunter2 >&2; exit 4\n');
		await assertRefused(t, status.UNKNOWN, /docker-credential-fixture .*exited with 4/, pull(image));
		await assertNothingLeft(t, image);
		await writeFile(join(daemon.places.baseDir, 'auth.json'), '{"auths": {"hunter2"');
		await assertRefused(t, status.INVALID_ARGUMENT, /auth\.json: is not JSON/, pull(image));
		await rm(join(daemon.places.baseDir, 'auth.json'));
		t.notRegex(await readFile(daemon.places.daemonLog, 'utf8'), /hunter2/);
	} finally {
		registry.credentials.delete(repository);
	}
});

async function writeHelper(script: string): Promise<string> {
	const dir = join(running().daemon.places.baseDir, 'helpers');
	await mkdir(dir, {recursive: true});
	const path = join(dir, 'docker-credential-fixture');
	await writeFile(path, `#!/bin/sh\n${script}\n`);
	await chmod(path, 0o755);
	return path;
}

test.serial('credentials in the call reach the registry, and those for another host do not', async t => {
	const {registry, daemon} = running();
	const {image, tag} = publish('given');
	registry.credentials.set(tag.replace(/:1$/, ''), 'robot:hunter2');
	const withAuth = async (serverAddress: string): Promise<unknown> =>
		await daemon.cri.image('PullImage', {image: {image}, auth: {auth: Buffer.from('robot:hunter2').toString('base64'), server_address: serverAddress}});
	const before = registry.requests.length;
	await assertRefused(t, status.PERMISSION_DENIED, /wants credentials/, withAuth('https://elsewhere.example/'));
	t.false(registry.requests.slice(before).some(({authorized}) => authorized));
	await withAuth('');
	t.true(registry.requests.slice(before).some(({authorized}) => authorized));
	registry.credentials.clear();
	await daemon.cri.image('RemoveImage', {image: {image}});
});
