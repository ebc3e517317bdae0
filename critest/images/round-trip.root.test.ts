import {createHash} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import {PROJECT_DIR} from '../fixtures/images.js';
import {pushImage} from '../fixtures/push.js';
import {run, type Ended} from '../rig/command.js';
import {startDaemon, type Daemon} from '../rig/daemon.js';
import {assertRefused} from '../rig/refusal.js';
import {PASSWORD, startPrivateRegistry, USER, type PrivateRegistry} from './private-registry.js';
import {buildRoundTripImage, buildUnnamedParentsImage, type RoundTripImage} from './round-trip-image.js';
import {describeLayers, inspectRaw, unpackByOthers, type RegistryAccess, type Tree} from './trees.js';

const REPOSITORY = 'round/trip';
const TAG = '1';
const image = buildRoundTripImage();

interface Running {
	readonly dir: string;
	readonly registry: PrivateRegistry;
	/** Empty at first. */
	readonly other: PrivateRegistry;
	readonly daemon: Daemon;
	readonly reference: string;
	/** The tree that skopeo and umoci make of the image. */
	readonly expected: Tree;
}
let running: Running | null = null;
const disposals = new AsyncDisposableStack();

function get(): Running {
	if (running === null) throw new Error('the registry or the daemon did not start');
	return running;
}

test.before(async () => {
	const dir = await mkdtemp(join(tmpdir(), 'berth-round-trip-'));
	disposals.defer(async () => await rm(dir, {recursive: true, force: true}));
	const registry = disposals.use(await startPrivateRegistry(join(dir, 'registry')));
	const other = disposals.use(await startPrivateRegistry(join(dir, 'other')));
	await publish(registry, image, REPOSITORY);
	const toTable = (host: string, {caFile}: PrivateRegistry): string => `[image.registries.${JSON.stringify(host)}]\nca_file = ${JSON.stringify(caFile)}\n`;
	// Blobs are kept, so that a push to a registry that has nothing needs no other registry.
	const keys = `keep_blobs = true\n${toTable(registry.host, registry)}${toTable(other.host, other)}${toTable(toLocalhost(registry), other)}`;
	const daemon = disposals.use(await startDaemon(registry, {image: keys}));
	const reference = `${registry.host}/${REPOSITORY}:${TAG}`;
	running = {dir, registry, other, daemon, reference, expected: await unpackByOthers(toAccess(reference, registry), join(dir, 'expected'))};
});

async function publish({url, ca}: PrivateRegistry, {blobs, manifest}: RoundTripImage, repository: string): Promise<void> {
	await pushImage(blobs, manifest, {url, ca, repository, tag: TAG, credentials: {user: USER, password: PASSWORD}});
}

test.after.always(async () => await disposals.disposeAsync());

test.serial.afterEach.always('nothing is left, and no password is in the log', async t => {
	const {daemon} = get();
	t.deepEqual(await daemon.leaks(), []);
	const {images} = await daemon.cri.image('ListImages', {});
	for (const {id} of images) await daemon.cri.image('RemoveImage', {image: {image: id}});
	const log = await daemon.log();
	t.false(log.includes(PASSWORD));
	t.false(log.includes(Buffer.from(`${USER}:${PASSWORD}`).toString('base64')));
});

/** The same registry by another name, which its certificate has too. */
function toLocalhost({host}: PrivateRegistry): string {
	return host.replace('127.0.0.1', 'localhost');
}

function toAccess(reference: string, {certDir}: PrivateRegistry): RegistryAccess {
	return {reference, user: USER, password: PASSWORD, certDir};
}

const pull = (reference: string, auth: Record<string, string> | null) => get().daemon.cri.image('PullImage', {image: {image: reference}, auth}, 120_000);

/** The daemon's merged layers are, file by file, what skopeo and umoci made of the same image. */
async function assertSameTree(t: ExecutionContext): Promise<void> {
	const {daemon, dir, expected} = get();
	const diffIds = image.layers.map(({diffId}) => diffId);
	const tree = await describeLayers(daemon.places.rootDir, diffIds, join(dir, 'merged'));
	t.deepEqual(new Set(Object.keys(tree)), new Set(Object.keys(expected)));
	for (const [path, facts] of Object.entries(expected)) t.deepEqual(tree[path], facts, path);
}

/** By which names the daemon and the registry know the image. */
async function assertDigests(t: ExecutionContext, reference: string, registry = get().registry): Promise<void> {
	const {daemon, dir} = get();
	const raw = await inspectRaw(toAccess(reference, registry), join(dir, 'inspected'));
	const digest = `sha256:${createHash('sha256').update(raw).digest('hex')}`;
	t.is(digest, image.manifest.digest);
	const {image: found} = await daemon.cri.image('ImageStatus', {image: {image: reference}});
	t.is(found?.id, image.id);
	t.true(found?.repo_digests.includes(`${reference.slice(0, reference.lastIndexOf(':'))}@${digest}`), found?.repo_digests.join(' '));
	t.true(found?.repo_tags.includes(reference));
}

test.serial('the expected tree has every kind of thing that can be lost', t => {
	const facts = Object.values(get().expected);
	for (const kind of ['block', 'character', 'directory', 'fifo', 'file', 'symlink'])
		t.true(
			facts.some(fact => fact['kind'] === kind),
			kind,
		);
	for (const mode of ['0o4755', '0o2711', '0o1777', '0o0'])
		t.true(
			facts.some(fact => fact['mode'] === mode),
			mode,
		);
	t.true(facts.some(({xattrs}) => Object.hasOwn(xattrs as object, 'security.capability')));
	t.deepEqual(get().expected['links/first']?.['names'], ['bin/third', 'links/first']);
	for (const path of ['gone/removed', 'gone/tree/below', 'opaque/old', 'opaque/new', 'times', 'replaced/directory-by-file/x'])
		t.false(Object.hasOwn(get().expected, path), path);
});

test.serial('without credentials, or with wrong ones, nothing is pulled', async t => {
	const {reference} = get();
	await assertRefused(t, status.PERMISSION_DENIED, /round\/trip/, pull(reference, null));
	await assertRefused(t, status.PERMISSION_DENIED, /round\/trip/, pull(reference, {username: USER, password: 'wrong'}));
});

test.serial('a registry whose certificate is not of the CA that is configured for its name gets no credentials', async t => {
	const {registry} = get();
	const reference = `${toLocalhost(registry)}/${REPOSITORY}:${TAG}`;
	await assertRefused(t, status.UNKNOWN, /^RegistryUnavailable: .*CERT/i, pull(reference, {username: USER, password: PASSWORD}));
});

test.serial('a pull keeps digests, owners, modes, times, xattrs, links, devices and whiteouts as skopeo and umoci do', async t => {
	const {reference} = get();
	const {image_ref: id} = await pull(reference, {username: USER, password: PASSWORD});
	t.is(id, image.id);
	await assertDigests(t, reference);
	await assertSameTree(t);
});

test.serial('crictl pull with --creds, and a pull by digest with the auth field, give the same image', async t => {
	const {daemon, reference, registry} = get();
	const pulled = await daemon.crictl(['pull', '--creds', `${USER}:${PASSWORD}`, reference]);
	t.is(pulled.exitCode, 0, pulled.stderr);
	await assertDigests(t, reference);
	const auth = Buffer.from(`${USER}:${PASSWORD}`).toString('base64');
	const {image_ref: id} = await pull(`${registry.host}/${REPOSITORY}@${image.manifest.digest}`, {auth});
	t.is(id, image.id);
	await assertSameTree(t);
});

test.serial('a directory that an upper layer does not name again keeps owner, mode and xattrs', async t => {
	const {daemon, dir, registry} = get();
	const unnamed = buildUnnamedParentsImage();
	await publish(registry, unnamed, 'round/unnamed-parents');
	const reference = `${registry.host}/round/unnamed-parents:${TAG}`;
	await pull(reference, {username: USER, password: PASSWORD});
	const expected = await unpackByOthers(toAccess(reference, registry), join(dir, 'unnamed-parents'));
	const diffIds = unnamed.layers.map(({diffId}) => diffId);
	const tree = await describeLayers(daemon.places.rootDir, diffIds, join(dir, 'merged'));
	// Times of directories are not compared: each file made below one changes it.
	const toFacts = (of: Tree) => Object.fromEntries(Object.entries(of).map(([path, facts]) => [path, {...facts, mtimeS: null}]));
	t.deepEqual(toFacts(tree), toFacts(expected));
});

const push = async (target: string, creds: string, input = ''): Promise<Ended> =>
	await run([join(PROJECT_DIR, 'bin/berth'), 'images', 'push', '--socket', get().daemon.places.socket, '--creds', creds, get().reference, target], {input});

for (const where of ['another repository of the registry it came from', 'a registry that has nothing of it'] as const) {
	test.serial(`berth images push to ${where}, and a pull from there, keep every digest and file`, async t => {
		const {daemon, reference, registry, other} = get();
		const to = where.startsWith('another') ? registry : other;
		await pull(reference, {username: USER, password: PASSWORD});
		const target = `${to.host}/pushed/again:${TAG}`;
		const creds = `${USER}:${PASSWORD}`;
		// Both ways to give them.
		const pushed = to === registry ? await push(target, creds) : await push(target, '-', `${creds}\n`);
		t.is(pushed.exitCode, 0, pushed.stderr);
		await daemon.cri.image('RemoveImage', {image: {image: image.id}});
		await pull(target, {username: USER, password: PASSWORD});
		await assertDigests(t, target, to);
		await assertSameTree(t);
	});
}

test.serial('berth images push with wrong credentials is refused, and tells no secret', async t => {
	const {reference, registry} = get();
	await pull(reference, {username: USER, password: PASSWORD});
	const pushed = await push(`${registry.host}/pushed/refused:${TAG}`, `${USER}:wrong-5ecret`);
	t.not(pushed.exitCode, 0);
	t.regex(pushed.stderr, /pushed\/refused/);
	t.notRegex(pushed.stderr + pushed.stdout, /5ecret/);
	await assertRefused(t, status.NOT_FOUND, /pushed\/refused/, pull(`${registry.host}/pushed/refused:${TAG}`, {username: USER, password: PASSWORD}));
});
