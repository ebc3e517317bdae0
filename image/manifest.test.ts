import test from 'ava';
import {CorruptError, InvalidArgumentError} from '../base/errors.js';
import {choosePlatform, type Descriptor, toImageConfig, toIndex, toJsonText, toManifest} from './manifest.js';

const HEX = 'a'.repeat(64);
const OCI = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const config = {mediaType: 'application/vnd.oci.image.config.v1+json', digest: `sha256:${HEX}`, size: 10};
const layer = (mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip') => ({mediaType, digest: `sha256:${HEX}`, size: 1});
const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const entry = (architecture: string, variant?: string): Descriptor => ({
	mediaType: OCI,
	digest: `sha256:${HEX}`,
	size: 1,
	platform: {os: 'linux', architecture, ...(variant === undefined ? {} : {variant})},
});
const amd64 = {os: 'linux', architecture: 'amd64', variant: null};

test('toIndex tells an index from a manifest, also without a media type', t => {
	t.is(toIndex(bytes({schemaVersion: 2, mediaType: OCI, config, layers: []})), null);
	t.is(toIndex(bytes({schemaVersion: 2, config, layers: []})), null);
	t.is(toIndex(bytes({schemaVersion: 2, mediaType: INDEX, manifests: [entry('amd64')]}))?.length, 1);
	t.is(toIndex(bytes({schemaVersion: 2, manifests: []}))?.length, 0);
});

for (const [what, value, kind] of [
	['index and image at once', {schemaVersion: 2, manifests: [], layers: []}, CorruptError],
	['index and config at once', {schemaVersion: 2, manifests: [], config}, CorruptError],
	['an index that says it is an image', {schemaVersion: 2, mediaType: OCI, manifests: []}, InvalidArgumentError],
	['an image that says it is an index', {schemaVersion: 2, mediaType: INDEX, config, layers: []}, InvalidArgumentError],
	['Docker schema 1', {schemaVersion: 1, mediaType: 'application/vnd.docker.distribution.manifest.v1+json', fsLayers: []}, InvalidArgumentError],
	['manifests that are no list', {schemaVersion: 2, manifests: {}}, CorruptError],
	['an index of a million entries', {schemaVersion: 2, manifests: Array.from({length: 1001}, () => entry('amd64'))}, CorruptError],
] as const) {
	test(`toIndex refuses ${what}`, t => void t.throws(() => toIndex(bytes(value)), {instanceOf: kind}));
}

test('choosePlatform takes the least demanding variant of the architecture', t => {
	const v1 = entry('amd64', 'v1');
	const plain = entry('amd64');
	t.is(choosePlatform([entry('arm64'), entry('amd64', 'v3'), plain], amd64), plain);
	t.is(choosePlatform([entry('amd64', 'v3'), v1], amd64), v1);
	const v2 = entry('amd64', 'v2');
	t.is(choosePlatform([entry('amd64', 'v3'), v2], amd64), v2);
	const arm = entry('arm64');
	t.is(choosePlatform([entry('arm64', 'v9'), arm, entry('amd64')], {os: 'linux', architecture: 'arm64', variant: 'v8'}), arm);
});

test('choosePlatform says what there is when nothing fits', t => {
	t.throws(() => choosePlatform([entry('arm64'), entry('s390x')], amd64), {
		instanceOf: InvalidArgumentError,
		message: 'image has no variant for linux/amd64, only for linux/arm64, linux/s390x',
	});
	t.throws(() => choosePlatform([], amd64), {instanceOf: InvalidArgumentError});
});

for (const [what, value, kind, message] of [
	[
		'a config that is no image config',
		{schemaVersion: 2, config: {...config, mediaType: 'application/vnd.cncf.helm.config.v1+json'}, layers: []},
		InvalidArgumentError,
		/not a container image.*helm/,
	],
	[
		'a foreign layer',
		{schemaVersion: 2, config, layers: [layer('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip')]},
		InvalidArgumentError,
		/foreign/,
	],
	['an unknown layer type', {schemaVersion: 2, config, layers: [layer(), layer('application/x-7z')]}, InvalidArgumentError, /application\/x-7z/],
	['a digest of another algorithm', {schemaVersion: 2, config, layers: [{...layer(), digest: 'md5:00'}]}, CorruptError, /layers\.digest/],
	['a negative size', {schemaVersion: 2, config: {...config, size: -1}, layers: []}, CorruptError, /config\.size/],
	['a size beyond what a number holds', {schemaVersion: 2, config: {...config, size: 2 ** 60}, layers: []}, CorruptError, /config\.size/],
	['too many layers', {schemaVersion: 2, config, layers: Array.from({length: 401}, () => layer())}, InvalidArgumentError, /401 layers/],
	['no layers', {schemaVersion: 2, config}, CorruptError, /no layers/],
] as const) {
	test(`toManifest refuses ${what}`, t => void t.throws(() => toManifest(bytes(value)), {instanceOf: kind, message}));
}

test('toJsonText keeps every byte or refuses', t => {
	t.is(toJsonText(Buffer.from('\ufeff{"a":"ä"}'), 'x'), '\ufeff{"a":"ä"}');
	t.throws(() => toJsonText(Buffer.from([0x7b, 0xff, 0x7d]), 'image config'), {instanceOf: CorruptError, message: 'image config is not UTF-8'});
});

test('toImageConfig says what the image runs on', t => {
	const {platform, diffIds} = toImageConfig(bytes({os: 'linux', architecture: 'arm64', rootfs: {diff_ids: [`sha256:${HEX}`]}}));
	t.deepEqual(platform, {os: 'linux', architecture: 'arm64'});
	t.deepEqual(diffIds, [`sha256:${HEX}`]);
	t.throws(() => toImageConfig(bytes({rootfs: {diff_ids: ['sha256:..']}})), {instanceOf: CorruptError});
});
