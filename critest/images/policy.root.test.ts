import {randomBytes} from 'node:crypto';
import {mkdir, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test, {type ExecutionContext} from 'ava';
import {addImage, toLayer, type Blobs, type Descriptor} from '../fixtures/content.js';
import {PROJECT_DIR} from '../fixtures/images.js';
import {newSigningKey, publishSignature} from '../fixtures/signatures.js';
import {toTar} from '../fixtures/tar.js';
import {run, type Ended} from '../rig/command.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';

const DIRECTORY = join(tmpdir(), `berth-policy-${randomBytes(6).toString('hex')}`);
const POLICY_FILE = join(DIRECTORY, 'policy.json');
const KEY_FILE = join(DIRECTORY, 'cosign.pub');
const KEY = newSigningKey();
const REFUSED = /^SignatureValidationFailed: /;

// Broken from the start: the daemon must start all the same.
test.before(async () => {
	await mkdir(DIRECTORY);
	await writeFile(KEY_FILE, KEY.publicPem);
	await writeFile(POLICY_FILE, '{"default": [');
});
test.after.always(() => rm(DIRECTORY, {recursive: true, force: true}));

const running = useDaemon(test, {image: `policy_file = ${JSON.stringify(POLICY_FILE)}`});

/** Signed images only, below registry.k8s.io/signed; all else of any registry is accepted. */
async function writePolicy(more: object = {}): Promise<void> {
	const requirement = {type: 'sigstoreSigned', keyPath: KEY_FILE, ...more};
	await writeFile(POLICY_FILE, JSON.stringify({default: [{type: 'insecureAcceptAnything'}], transports: {docker: {'registry.k8s.io/signed': [requirement]}}}));
}

interface Published {
	readonly repository: string;
	readonly image: string;
	readonly index: Descriptor;
	/** Of the variant for this machine. */
	readonly manifest: Descriptor;
}

function publish(name: string): Published {
	const {content} = running();
	const index = addImage(content.blobs, {format: 'oci', layers: [toLayer([{type: 'file', path: 'x', content: name}], 'gzip')], config: {Cmd: ['/x']}});
	const repository = `signed/${name}`;
	content.tags.set(`${repository}:1`, index);
	const {manifests} = JSON.parse(String(content.blobs.get(index.digest))) as {readonly manifests: readonly Descriptor[]};
	const manifest = manifests.at(-1);
	if (manifest === undefined) throw new Error('the index is empty');
	return {repository, image: `registry.k8s.io/${repository}:1`, index, manifest};
}

function pull(image: string): Promise<unknown> {
	return running().daemon.cri.image('PullImage', {image: {image}}, 120_000);
}

async function remove(image: string): Promise<void> {
	await running().daemon.cri.image('RemoveImage', {image: {image}});
}

/** Refused with the kubelet's word, nothing of the image was fetched, and nothing is left. */
async function assertUnpulled(t: ExecutionContext, {image, manifest}: Published, message: RegExp): Promise<void> {
	const {daemon, registry, content} = running();
	const rootDir = join(daemon.places.rootDir, 'layers');
	const before = await readdir(rootDir);
	// UNKNOWN: under any other code the kubelet does not see the word.
	await assertRefused(t, status.UNKNOWN, REFUSED, pull(image));
	await assertRefused(t, status.UNKNOWN, message, pull(image));
	t.is((await daemon.cri.image('ImageStatus', {image: {image}})).image, null);
	t.deepEqual(await readdir(rootDir), before);
	const {config, layers} = JSON.parse(String(content.blobs.get(manifest.digest))) as {readonly config: Descriptor; readonly layers: readonly Descriptor[]};
	for (const {digest} of [config, ...layers])
		t.false(
			registry.requests.some(({url}) => url.includes(digest)),
			digest,
		);
}

test.serial('a daemon with a broken policy serves, says so, and refuses every pull', async t => {
	const published = publish('broken');
	await assertUnpulled(t, published, new RegExp(`the signature policy cannot be used: ${POLICY_FILE}`));
	t.regex(await running().daemon.log(), /the signature policy cannot be used: pulls are refused until it is mended/);
});

test.serial('an image whose index is signed is pulled', async t => {
	await writePolicy();
	const {repository, image, index} = publish('index');
	publishSignature(running().content, {repository, digest: index.digest, identity: image, key: KEY});
	await t.notThrowsAsync(pull(image));
	await t.notThrowsAsync(pull(`registry.k8s.io/${repository}@${index.digest}`));
	await remove(image);
});

test.serial("an image is pulled of which only this machine's manifest is signed", async t => {
	await writePolicy();
	const {repository, image, manifest} = publish('manifest');
	publishSignature(running().content, {repository, digest: manifest.digest, identity: image, key: KEY});
	await t.notThrowsAsync(pull(image));
	await remove(image);
});

test.serial('an image without a signature is refused', async t => {
	await writePolicy();
	await assertUnpulled(
		t,
		publish('unsigned'),
		/registry\.k8s\.io\/signed\/unsigned:1: .*scope "registry\.k8s\.io\/signed": a signature is required, and none is there/,
	);
});

test.serial("an image signed by another's key is refused", async t => {
	await writePolicy();
	const published = publish('other-key');
	const {repository, image, index} = published;
	publishSignature(running().content, {repository, digest: index.digest, identity: image, key: newSigningKey()});
	await assertUnpulled(t, published, /not made by a key of the policy/);
});

test.serial('a good signature of an older image does not make a newer one good', async t => {
	await writePolicy();
	const older = publish('older');
	const published = publish('replayed');
	const {repository, image, index} = published;
	publishSignature(running().content, {repository, digest: index.digest, signedDigest: older.index.digest, identity: image, key: KEY});
	await assertUnpulled(t, published, /signs another manifest/);
});

test.serial('a good signature for another repository is refused; matchRepository takes any tag of the own', async t => {
	await writePolicy();
	const published = publish('moved');
	const {repository, image, index} = published;
	publishSignature(running().content, {repository, digest: index.digest, identity: 'registry.k8s.io/signed/elsewhere:1', key: KEY});
	await assertUnpulled(t, published, /is for "registry\.k8s\.io\/signed\/elsewhere:1"/);
	// What the cosign command signs has no tag.
	publishSignature(running().content, {repository, digest: index.digest, identity: `registry.k8s.io/${repository}`, key: KEY});
	await assertUnpulled(t, published, /which matchRepoDigestOrExact does not accept/);
	await writePolicy({signedIdentity: {type: 'matchRepository'}});
	await t.notThrowsAsync(pull(image));
	await remove(image);
});

test.serial('a tag that moves to an unsigned image is refused, and the signed one stays', async t => {
	await writePolicy();
	const {daemon, content} = running();
	const signed = publish('moving');
	publishSignature(content, {repository: signed.repository, digest: signed.index.digest, identity: signed.image, key: KEY});
	await pull(signed.image);
	const {image: before} = await daemon.cri.image('ImageStatus', {image: {image: signed.image}});
	const unsigned = publish('moving-target');
	content.tags.set(`${signed.repository}:1`, unsigned.index);
	await assertRefused(t, status.UNKNOWN, REFUSED, pull(signed.image));
	t.deepEqual((await daemon.cri.image('ImageStatus', {image: {image: signed.image}})).image, before);
	await remove(signed.image);
});

test.serial('the policy is edited while the daemon runs: rejected, then accepted, then the file is gone', async t => {
	const published = publish('edited');
	await writeFile(POLICY_FILE, JSON.stringify({default: [{type: 'reject'}]}));
	await assertUnpulled(t, published, /default: the policy rejects it/);
	await writeFile(POLICY_FILE, JSON.stringify({default: [{type: 'insecureAcceptAnything'}]}));
	await t.notThrowsAsync(pull(published.image));
	await rm(POLICY_FILE);
	await assertRefused(t, status.UNKNOWN, /^SignatureValidationFailed: .*policy\.json: cannot be read: ENOENT/, pull(published.image));
	// What is there stays usable: the policy is about pulls.
	t.not((await running().daemon.cri.image('ImageStatus', {image: {image: published.image}})).image, null);
	await remove(published.image);
});

function load(path: string): Promise<Ended> {
	return run([join(PROJECT_DIR, 'bin/berth'), 'images', 'load', '--socket', running().daemon.places.socket, path], {timeoutMs: 120_000});
}

test.serial('what is loaded from a layout or an archive goes by the transports oci and oci-archive, with paths as scopes', async t => {
	const blobs: Blobs = new Map();
	const index = addImage(blobs, {format: 'oci', layers: [toLayer([{type: 'file', path: 'x', content: 'loaded'}], 'gzip')], config: {Cmd: ['/x']}});
	const image = 'example.com/loaded:1';
	const files = [...blobs].map(([digest, content]) => ({type: 'file' as const, path: `blobs/sha256/${digest.slice(7)}`, content}));
	const name = {...index, annotations: {'org.opencontainers.image.ref.name': image}};
	files.push({type: 'file', path: 'index.json', content: Buffer.from(JSON.stringify({schemaVersion: 2, manifests: [name]}))});
	const layout = join(DIRECTORY, 'layout');
	const archive = join(DIRECTORY, 'archive.tar');
	await mkdir(join(layout, 'blobs/sha256'), {recursive: true});
	for (const {path, content} of files) await writeFile(join(layout, path), content);
	await writeFile(archive, toTar(files));
	for (const [path, transport, other] of [
		[layout, 'oci', 'oci-archive'],
		[archive, 'oci-archive', 'oci'],
	] as const) {
		const accepted = {[transport]: {[DIRECTORY]: [{type: 'insecureAcceptAnything'}]}};
		const rejected = {[other]: {'': [{type: 'insecureAcceptAnything'}]}, docker: {'': [{type: 'insecureAcceptAnything'}]}};
		await writeFile(POLICY_FILE, JSON.stringify({default: [{type: 'reject'}], transports: rejected}));
		const refused = await load(path);
		t.is(refused.exitCode, 1);
		t.true(refused.stderr.includes(`${path}: ${POLICY_FILE}: default: the policy rejects it`), refused.stderr);
		t.is((await running().daemon.cri.image('ImageStatus', {image: {image}})).image, null);
		await writeFile(POLICY_FILE, JSON.stringify({default: [{type: 'reject'}], transports: accepted}));
		const loaded = await load(path);
		t.is(loaded.exitCode, 0, loaded.stderr);
		t.regex(loaded.stdout, /example\.com\/loaded:1/);
		await remove(image);
	}
});
