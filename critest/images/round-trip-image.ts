import {gzipSync} from 'node:zlib';
import {addImage, toDigest, toLayer, type Blobs, type Descriptor, type Layer} from '../fixtures/content.js';
import {toTar, type TarEntry} from '../fixtures/tar.js';

/** What image tools lose: every kind of file, owner, mode, time, attribute, link and whiteout, over three layers. */
export interface RoundTripImage {
	readonly blobs: Blobs;
	/** Of the one manifest: no index is above it. */
	readonly manifest: Descriptor;
	/** Digest of the image config. */
	readonly id: string;
	readonly layers: readonly Layer[];
}

export function buildRoundTripImage(): RoundTripImage {
	return toImage([toLayer(lowest(), 'gzip'), toLayer(middle(), 'none'), toTwoMembers(highest())]);
}

/** Its upper layer has files below directories that only the lower one describes: not every builder names the parents again. */
export function buildUnnamedParentsImage(): RoundTripImage {
	const lower = [
		directory('.', {mode: 0o711}),
		directory('private', {mode: 0o700, uid: 5, gid: 6, xattrs: {'user.on-directory': Buffer.from('kept')}}),
		directory('private/group', {mode: 0o750, gid: 9}),
	];
	const upper = [file('private/added', 'a'), file('private/group/new/added', 'b', {uid: 5})];
	return toImage([toLayer(lower, 'gzip'), toLayer(upper, 'gzip')]);
}

function toImage(layers: readonly Layer[]): RoundTripImage {
	const blobs: Blobs = new Map();
	const index = addImage(blobs, {format: 'oci', layers, config: {Env: ['PATH=/bin'], Cmd: ['/bin/tool'], Volumes: {'/data': {}}}});
	const manifest = parse(blobs, index).manifests?.at(-1);
	const id = manifest === undefined ? undefined : parse(blobs, manifest).config?.digest;
	if (manifest === undefined || id === undefined) throw new Error('the index has no manifest, or that no config');
	return {blobs, manifest, id, layers};
}

function parse(blobs: Blobs, {digest}: Descriptor): {readonly manifests?: readonly Descriptor[]; readonly config?: Descriptor} {
	return JSON.parse((blobs.get(digest) ?? Buffer.alloc(0)).toString()) as ReturnType<typeof parse>;
}

/** As pigz and bgzip write it: gzip members one after the other are one stream (RFC 1952). */
function toTwoMembers(entries: readonly TarEntry[]): Layer {
	const archive = toTar(entries);
	const half = Math.floor(archive.length / 2);
	return {blob: Buffer.concat([gzipSync(archive.subarray(0, half)), gzipSync(archive.subarray(half))]), compression: 'gzip', diffId: toDigest(archive)};
}

/** struct vfs_cap_data, revision 2, effective (linux/capability.h): CAP_NET_BIND_SERVICE and CAP_NET_RAW permitted. */
const CAPABILITY = Buffer.from('0100000200240000000000000000000000000000', 'hex');
const LONG_NAME = `${'n'.repeat(250)}.long`;
const DEEP = Array.from({length: 12}, (_, depth) => `${depth}-${'d'.repeat(40)}`);

const directory = (path: string, more: Partial<TarEntry> = {}): TarEntry => ({type: 'directory', path: `${path}/`, mtime: '1600000000', ...more}) as TarEntry;
const file = (path: string, content: Buffer | string, more: Partial<TarEntry> = {}): TarEntry =>
	({type: 'file', path, content, mtime: '1500000000', ...more}) as TarEntry;

function lowest(): readonly TarEntry[] {
	return [
		directory('.', {mode: 0o755, mtime: '1400000000'}),
		directory('bin'),
		file('bin/tool', '#!/bin/sh\n', {mode: 0o755}),
		file('bin/setuid', 'u', {mode: 0o4755, uid: 1000, gid: 1000}),
		file('bin/setgid', 'g', {mode: 0o2711, uid: 0, gid: 42}),
		file('bin/ping', 'p', {mode: 0o755, uid: 7, gid: 8, xattrs: {'security.capability': CAPABILITY}}),
		directory('tmp', {mode: 0o1777}),
		directory('shared', {mode: 0o2775, gid: 50, xattrs: {'user.on-directory': Buffer.from('yes')}}),
		file('shared/attributes', 'x', {xattrs: {'user.text': Buffer.from('a=b\nc'), 'user.binary': Buffer.from([0, 1, 0xff, 0x0a, 0])}}),
		...names(),
		...links(),
		...times(),
		...forWhiteouts(),
	];
}

function names(): readonly TarEntry[] {
	const deep = DEEP.map((_, depth) => directory(`deep/${DEEP.slice(0, depth + 1).join('/')}`));
	return [
		directory('names'),
		file(`names/${LONG_NAME}`, 'long'),
		file('names/with blank and ünïcødé ☃', 'unicode'),
		file('names/-dash', 'dash'),
		file('names/new\nline\\backslash', 'newline'),
		file('names/big-ids', 'ids', {uid: 3_000_000_000, gid: 2_097_152}),
		directory('deep'),
		...deep,
		file(`deep/${DEEP.join('/')}/leaf`, 'leaf'),
		file('names/empty', ''),
		file('names/one-block', Buffer.alloc(512, 'b')),
		file('names/megabytes', Buffer.alloc(3_000_001, 'not zero')),
		file('names/unreadable', 'secret', {mode: 0o000}),
	];
}

function links(): readonly TarEntry[] {
	return [
		directory('links'),
		file('links/first', 'shared by three', {mode: 0o640, uid: 5, gid: 6, xattrs: {'user.linked': Buffer.from('1')}}),
		{type: 'hardlink', path: 'links/second', target: 'links/first', mode: 0o640, uid: 5, gid: 6, mtime: '1500000000'},
		{type: 'hardlink', path: 'bin/third', target: './links/first', mode: 0o640, uid: 5, gid: 6, mtime: '1500000000'},
		{type: 'symlink', path: 'links/relative', target: '../bin/tool', uid: 9, gid: 9, mtime: '1450000000'},
		{type: 'symlink', path: 'links/absolute', target: '/etc/../bin/tool', mtime: '1450000001'},
		{type: 'symlink', path: 'links/dangling', target: 'nowhere', mtime: '1450000002'},
		{type: 'symlink', path: 'links/long', target: `/${'t/'.repeat(150)}end`, mtime: '1450000003'},
		directory('devices'),
		{type: 'character', path: 'devices/null', major: 1, minor: 3, mode: 0o666, mtime: '1300000000'},
		{type: 'block', path: 'devices/loop', major: 7, minor: 300, mode: 0o660, gid: 6, mtime: '1300000001'},
		{type: 'fifo', path: 'devices/fifo', mode: 0o600, uid: 3, mtime: '1300000002'},
	];
}

function times(): readonly TarEntry[] {
	return [
		directory('times', {mtime: '1'}),
		file('times/epoch', 't', {mtime: '0'}),
		file('times/fraction', 't', {mtime: '1234567890.987654321'}),
		file('times/before-epoch', 't', {mtime: '-86400.25'}),
		file('times/after-2038', 't', {mtime: '4102444800'}),
	];
}

/** What the upper layers hide and replace. */
function forWhiteouts(): readonly TarEntry[] {
	return [
		directory('gone'),
		file('gone/removed', 'r'),
		file('gone/kept', 'k'),
		directory('gone/tree'),
		file('gone/tree/below', 'b'),
		directory('opaque', {mode: 0o700}),
		file('opaque/old', 'old'),
		directory('opaque/old-tree'),
		file('opaque/old-tree/x', 'x'),
		directory('replaced'),
		file('replaced/file-by-directory', 'f'),
		directory('replaced/directory-by-file'),
		file('replaced/directory-by-file/x', 'x'),
		{type: 'symlink', path: 'replaced/link-by-file', target: '../bin/tool'},
		file('replaced/content', 'before', {mode: 0o600}),
		file('replaced/later-again', 'lowest'),
	];
}

function middle(): readonly TarEntry[] {
	return [
		directory('.', {mtime: '1400000001'}),
		directory('gone', {mtime: '1600000001'}),
		file('gone/.wh.removed', ''),
		file('gone/.wh.tree', ''),
		directory('opaque', {mode: 0o711, uid: 4, mtime: '1600000002'}),
		file('opaque/.wh..wh..opq', ''),
		file('opaque/new', 'new'),
		directory('replaced', {mtime: '1600000003'}),
		directory('replaced/file-by-directory', {mode: 0o750}),
		file('replaced/file-by-directory/inside', 'i'),
		file('replaced/directory-by-file', 'now a file'),
		file('replaced/link-by-file', 'now a file, and the target is as before'),
		file('replaced/content', 'after', {mode: 0o4711, uid: 12}),
		file('replaced/.wh.later-again', ''),
		directory('links', {mtime: '1600000004'}),
		// One of three names only: the other two stay one file.
		file('links/second', 'of its own now'),
	];
}

function highest(): readonly TarEntry[] {
	return [
		directory('.', {mode: 0o751, mtime: '1400000002'}),
		directory('replaced', {mtime: '1600000005'}),
		file('replaced/later-again', 'highest'),
		directory('gone', {mtime: '1600000006'}),
		directory('gone/tree', {mode: 0o770}),
		file('gone/tree/reborn', 'r'),
		directory('opaque', {mode: 0o711, uid: 4, mtime: '1600000007'}),
		file('opaque/.wh.new', ''),
		file('opaque/newest', 'n'),
		directory('shared', {mode: 0o2775, gid: 51}),
		file('.wh.times', ''),
	];
}
