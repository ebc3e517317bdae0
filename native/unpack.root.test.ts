import {createHash} from 'node:crypto';
import {lstat, readFile, stat} from 'node:fs/promises';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import test from 'ava';
import {toBlocks, toMember, toPaxRecord, toTar, type FakeEntry} from './fake-tar.js';
import {describe, kernel, layerOf, linkTarget, list, makeDir, unpack, xattrs} from './unpack-rig.js';

function sha256(bytes: Buffer): string {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

const SOME: readonly FakeEntry[] = [
	{path: './', type: '5', mode: 0o750, uid: 7, mtime: 1000},
	{path: 'dir/', type: '5', mode: 0o1777, uid: 1, gid: 2, mtime: 2000},
	{path: 'dir/file', content: 'x'.repeat(300_000), mode: 0o640, uid: 3, gid: 4, mtime: 3000},
	{path: 'dir/program', content: 'y', mode: 0o6755, uid: 5, gid: 6, mtime: 4000},
	{path: 'dir/empty', mode: 0, mtime: 5000},
	{path: 'link', type: '2', link: '../../outside', uid: 8, gid: 9, mtime: 6000},
	{path: 'fifo', type: '6', mode: 0o620, uid: 1, mtime: 7000},
	{path: 'null', type: '3', mode: 0o666, major: 1, minor: 3, mtime: 8000},
	{path: 'disk', type: '4', mode: 0o600, major: 259, minor: 70_000, gid: 6, mtime: 9000},
];

test('all types with owner, mode and time, in pieces of any size, in each compression, with the sums of both streams', async t => {
	const archive = toTar(SOME);
	const streams = {none: archive, gzip: gzipSync(archive), zstd: zstdCompressSync(archive)} as const;
	for (const compression of ['none', 'gzip', 'zstd'] as const) {
		for (const pieceBytes of compression === 'none' ? [1000, 512, 1_000_000] : [1, 511, 1_000_000]) {
			const dir = `${await makeDir(t)}/fs`;
			const sums = await unpack(dir, streams[compression], {compression, pieceBytes});
			t.is(sums.digest, sha256(streams[compression]));
			t.is(sums.compressedBytes, streams[compression].length);
			t.is(sums.diffId, sha256(archive));
			t.is(sums.uncompressedBytes, archive.length);
			t.is(sums.inodes, 9);
			t.is(sums.opaqueRoot, false);
			t.is(await describe(dir), 'dir 750 7:0 1000000000000');
			t.is(await describe(`${dir}/dir`), 'dir 1777 1:2 2000000000000');
			t.is(await describe(`${dir}/dir/file`), 'file 640 3:4 3000000000000');
			t.is(await describe(`${dir}/dir/program`), 'file 6755 5:6 4000000000000');
			t.is(await describe(`${dir}/dir/empty`), 'file 0 0:0 5000000000000');
			t.is(await describe(`${dir}/link`), 'link 777 8:9 6000000000000');
			t.is(await describe(`${dir}/fifo`), 'fifo 620 1:0 7000000000000');
			t.is(await describe(`${dir}/null`), 'char 666 0:0 8000000000000');
			t.is(await describe(`${dir}/disk`), 'block 600 0:6 9000000000000');
			t.is((await stat(`${dir}/null`)).rdev, 0x103);
			t.is(await linkTarget(`${dir}/link`), '../../outside');
			t.is(await readFile(`${dir}/dir/file`, 'utf8'), 'x'.repeat(300_000));
			t.is((await list(dir)).length, 8);
		}
	}
});

test('disk use and inodes are what a walk over the tree finds', async t => {
	const dir = `${await makeDir(t)}/fs`;
	const files = Array.from({length: 50}, (_, i) => ({path: `d${i % 5}/f${i}`, content: Buffer.alloc(i * 1000, 1)}));
	const replaced = [
		{path: 'd0/f0', content: 'again'},
		{path: 'd1', type: '2', link: 'd0'},
		{path: 'd2/h', type: '1', link: 'd2/f7'},
	];
	const sums = await unpack(dir, toTar([...files, ...replaced]));
	const usage = await kernel.treeUsage(dir);
	t.is(sums.inodes, usage.inodes);
	t.is(sums.diskBytes, usage.bytes);
});

test('the time of a directory is the archive’s whatever is written below it afterwards, in whatever order', async t => {
	const entries: FakeEntry[] = [];
	for (const name of ['a', 'a/b', 'a/b/c', 'z']) entries.push({path: name, type: '5', mtime: 1_600_000_000});
	for (const name of ['a/b/c/1', 'a/1', 'z/1', 'a/b/1', 'a/b/c/2', 'a/new/deep/1']) entries.push({path: name, content: '1'});
	entries.push(
		{path: 'to-c', type: '2', link: '/a/b/c'},
		{path: 'to-c/3'},
		{path: 'a/b/.wh.gone'},
		{path: 'z/h', type: '1', link: 'a/1'},
		{path: 'a/b/1', type: '2', link: 'x'},
	);
	entries.push({path: 'late/1'}, {path: 'late', type: '5', mtime: 77}, {path: 'late/2'}, {path: '.', type: '5', mtime: 88}, {path: 'last'});
	const dir = await layerOf(t, entries);
	for (const name of ['a', 'a/b', 'a/b/c', 'z']) t.is((await stat(`${dir}/${name}`)).mtimeMs, 1_600_000_000_000, name);
	t.is((await stat(`${dir}/late`)).mtimeMs, 77_000);
	t.is((await stat(dir)).mtimeMs, 88_000);
	t.true((await stat(`${dir}/a/b/c/3`)).isFile());
});

test('nothing is inherited from a directory: neither group and setgid bit nor access rules', async t => {
	// POSIX ACL xattr, version 2: user::rwx user:1000:rwx group::r-x mask::rwx other::r-x
	const acl = Buffer.from('0200000001000700ffffffff02000700e803000004000500ffffffff10000700ffffffff20000500ffffffff', 'hex');
	const dir = await layerOf(t, [
		{path: 'g', type: '5', mode: 0o2775, gid: 50},
		{path: 'g/file'},
		{path: 'g/sub', type: '5'},
		{path: 'g/link', type: '2', link: 'x'},
		{path: 'g/fifo', type: '6'},
		{path: 'g/implied/file'},
		{path: 'acl', type: '5', mode: 0o775, pax: {'SCHILY.xattr.system.posix_acl_default': acl}},
		{path: 'acl/file', mode: 0o640},
		{path: 'acl/sub', type: '5', mode: 0o700},
		{path: 'acl/fifo', type: '6', mode: 0o600},
	]);
	for (const [name, expected] of Object.entries({
		g: 'dir 2775 0:50',
		'g/file': 'file 644 0:0',
		'g/sub': 'dir 755 0:0',
		'g/link': 'link 777 0:0',
		'g/fifo': 'fifo 644 0:0',
		'g/implied': 'dir 755 0:0',
		'acl/file': 'file 640 0:0',
		'acl/sub': 'dir 700 0:0',
		'acl/fifo': 'fifo 600 0:0',
	}))
		t.is((await describe(`${dir}/${name}`)).replace(/ \d+$/, ''), expected, name);
	t.deepEqual(await xattrs(`${dir}/acl`), {'system.posix_acl_default': acl.toString('hex')});
	for (const name of ['file', 'sub', 'fifo']) t.deepEqual(await xattrs(`${dir}/acl/${name}`), {}, name);
});

test('user.* and security.capability are kept, also on a file that changes owner; what overlay or the host would believe is not', async t => {
	// VFS_CAP_REVISION_2, effective, CAP_NET_RAW.
	const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
	const forged = [
		'trusted.overlay.opaque',
		'trusted.overlay.redirect',
		'trusted.overlay.metacopy',
		'user.overlay.opaque',
		'trusted.x',
		'security.selinux',
		'security.ima',
	];
	const pax = Object.fromEntries(forged.map(name => [`SCHILY.xattr.${name}`, 'y']));
	const entry = {
		uid: 1000,
		mode: 0o4755,
		pax: {...pax, 'SCHILY.xattr.security.capability': capability, 'SCHILY.xattr.user.bytes': Buffer.from([0, 10, 61, 255]), 'SCHILY.xattr.user.empty': ''},
	};
	const dir = await layerOf(t, [
		{path: 'file', content: 'x', ...entry},
		{path: 'd', type: '5', pax: {...pax, 'SCHILY.xattr.user.d': '1'}},
		{path: 'l', type: '2', link: 'x', pax},
	]);
	t.deepEqual(await xattrs(`${dir}/file`), {'security.capability': capability.toString('hex'), 'user.bytes': '000a3dff', 'user.empty': ''});
	t.is((await stat(`${dir}/file`)).mode & 0o7777, 0o4755);
	t.deepEqual(await xattrs(`${dir}/d`), {'user.d': '31'});
	t.deepEqual(await xattrs(`${dir}/l`), {});
});

test('PAX and GNU forms: long names and links, large ids, base 256, times with fractions and before the epoch, global headers', async t => {
	const long = `${'d'.repeat(200)}/${'n'.repeat(255)}`;
	const prefixed: FakeEntry = {path: 'name', spoil: header => header.write('pre/fix', 345)};
	const archive = Buffer.concat([
		toBlocks('g', toPaxRecord('comment', 'c'.repeat(5000))),
		toMember({path: `pax/${long}`, content: '1'}),
		toMember({path: `gnu/${long}`, content: '2', gnu: true}),
		toMember({path: 'l-pax', type: '2', link: 'x'.repeat(3000)}),
		toMember({path: 'l-gnu', type: '2', link: 'y'.repeat(3000), gnu: true}),
		toMember({path: 'hard', type: '1', link: `pax/${long}`, gnu: true}),
		toMember(prefixed),
		toMember({path: 'ids', uid: 3_000_000_000, gid: 4_294_967_294, mtime: -1_000_000}),
		toMember({path: 'pax-ids', pax: {uid: '2147483649', gid: '70000', mtime: '-1.25', size: '3'}, content: 'abc'}),
		toMember({path: 'fraction', pax: {mtime: '1700000000.123456789123'}}),
		toMember({path: 'withdrawn', pax: {mtime: ''}, mtime: 5}),
		toMember({path: 'old-directory/', type: '\0'}),
		Buffer.alloc(1024),
	]);
	const dir = `${await makeDir(t)}/fs`;
	await unpack(dir, archive);
	t.is(await readFile(`${dir}/pax/${long}`, 'utf8'), '1');
	t.is(await readFile(`${dir}/gnu/${long}`, 'utf8'), '2');
	t.is(await linkTarget(`${dir}/l-pax`), 'x'.repeat(3000));
	t.is(await linkTarget(`${dir}/l-gnu`), 'y'.repeat(3000));
	t.is((await stat(`${dir}/hard`)).ino, (await stat(`${dir}/pax/${long}`)).ino);
	t.true((await stat(`${dir}/pre/fix/name`)).isFile());
	t.is(await describe(`${dir}/ids`), 'file 644 3000000000:4294967294 -1000000000000000');
	t.is(await describe(`${dir}/pax-ids`), 'file 644 2147483649:70000 -1250000000');
	t.is(await describe(`${dir}/fraction`), 'file 644 0:0 1700000000123456789');
	t.is(await describe(`${dir}/withdrawn`), 'file 644 0:0 5000000000');
	t.true((await stat(`${dir}/old-directory`)).isDirectory());
});

test('streams: several members or frames, skippable frames, zeros at the end, an empty archive, bytes after the end mark', async t => {
	const archive = toTar([{path: 'f', content: 'x'.repeat(10_000)}]);
	const [head, tail] = [archive.subarray(0, 5000), archive.subarray(5000)];
	const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
	const streams: readonly (readonly ['gzip' | 'zstd' | 'none', Buffer])[] = [
		['gzip', Buffer.concat([gzipSync(head), gzipSync(Buffer.alloc(0)), gzipSync(tail), Buffer.alloc(700)])],
		['zstd', Buffer.concat([skippable, zstdCompressSync(head), skippable, zstdCompressSync(tail), Buffer.alloc(700)])],
		['none', Buffer.concat([archive, Buffer.alloc(9000), Buffer.from('anything')])],
		['none', archive.subarray(0, archive.length - 1024)],
	];
	for (const [compression, stream] of streams) {
		for (const pieceBytes of [1, 100_000]) {
			const dir = `${await makeDir(t)}/fs`;
			await unpack(dir, stream, {compression, pieceBytes});
			t.is(await readFile(`${dir}/f`, 'utf8'), 'x'.repeat(10_000));
		}
	}
	for (const stream of [Buffer.alloc(0), Buffer.alloc(1024), Buffer.alloc(512)]) {
		const sums = await unpack(`${await makeDir(t)}/fs`, stream);
		t.is(sums.inodes, 1);
		t.is(sums.diffId, sha256(stream));
	}
});

test('a later entry replaces an earlier one of any type', async t => {
	const kinds: readonly FakeEntry[] = [
		{path: 'x', content: 'file'},
		{path: 'x', type: '5'},
		{path: 'x', type: '2', link: 'y'},
		{path: 'x', type: '6'},
		{path: 'x', type: '3', major: 1, minor: 3},
		{path: 'x', type: '1', link: 'kept'},
	];
	for (const first of kinds) {
		for (const second of kinds) {
			const below = first.type === '5' ? [{path: 'x/sub/file'}, {path: 'x/other'}] : [];
			const dir = await layerOf(t, [{path: 'kept', content: 'kept'}, first, ...below, second]);
			const type = (await describe(`${dir}/x`)).split(' ')[0];
			t.is(type, {'0': 'file', '5': 'dir', '2': 'link', '6': 'fifo', '3': 'char', '1': 'file'}[second.type ?? '0']);
			if (second.type === '1') t.is(await readFile(`${dir}/x`, 'utf8'), 'kept');
			t.is(await readFile(`${dir}/kept`, 'utf8'), 'kept');
			t.is((await lstat(`${dir}/kept`)).nlink, second.type === '1' ? 2 : 1);
		}
	}
});
