import {readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import test from 'ava';
import {CorruptError, ResourceExhaustedError} from '../base/errors.js';
import {toBlocks, toMember, toPaxRecord, toTar, type FakeEntry} from './fake-tar.js';
import {kernel, layerOf, makeDir, run, unpack} from './unpack-rig.js';

const END = Buffer.alloc(1024);

test('nothing is made outside, by whatever path, link or replaced directory', async t => {
	const dir = await makeDir(t);
	await writeFile(`${dir}/victim`, 'safe');
	const outside = `${dir}/victim`;
	const attacks: readonly (readonly FakeEntry[])[] = [
		[{path: '../victim', content: 'x'}],
		[{path: 'a/../../victim', content: 'x'}],
		[{path: outside, content: 'x'}],
		[
			{path: 'l', type: '2', link: '..'},
			{path: 'l/victim', content: 'x'},
		],
		[
			{path: 'l', type: '2', link: dir},
			{path: 'l/victim', content: 'x'},
		],
		[
			{path: 'l', type: '2', link: outside},
			{path: 'l', content: 'x'},
		],
		[
			{path: 'l', type: '2', link: '../../../../../..'},
			{path: `l${outside}`, content: 'x'},
		],
		[
			{path: 'l', type: '2', link: '/proc/self/root'},
			{path: `l${outside}`, content: 'x'},
		],
		[
			{path: 'x', type: '1', link: '../victim'},
			{path: 'x', content: 'x'},
		],
		[{path: 'x', type: '1', link: outside}],
		[
			{path: 'l', type: '2', link: dir},
			{path: 'x', type: '1', link: 'l/victim'},
		],
		[{path: 'd', type: '5'}, {path: 'd/f'}, {path: 'd', type: '2', link: dir}, {path: 'd/victim', content: 'x'}],
		[{path: 'd/f'}, {path: 'd', type: '2', link: dir}, {path: 'd/.wh.victim'}, {path: 'd/.wh..wh..opq'}],
		[
			{path: 'd', type: '2', link: dir},
			{path: 'd', type: '5', mode: 0},
			{path: 'd/victim', content: 'x'},
		],
		[
			{path: 'd', type: '2', link: dir},
			{path: 'd/', type: '5', mode: 0, uid: 9},
			{path: 'd/victim', type: '6'},
		],
	];
	for (const [number, entries] of attacks.entries()) {
		await unpack(`${dir}/fs${number}`, toTar(entries)).catch((error: unknown) => t.true(error instanceof CorruptError, String(error)));
		t.is(await readFile(outside, 'utf8'), 'safe', String(number));
		t.is((await stat(outside)).nlink, 1, String(number));
		t.is((await stat(dir)).uid, 0);
		t.is((await stat(dir)).mode & 0o777, 0o700);
		t.deepEqual(
			(await readdir(dir)).filter(name => !name.startsWith('fs')),
			['victim'],
		);
	}
});

test('malformed archives are corrupt, each with its reason and the entry in printable form', async t => {
	const plain = toTar([{path: 'f', content: 'x'.repeat(600)}]);
	const refused: readonly (readonly [RegExp, Buffer])[] = [
		[/wrong checksum/, Buffer.concat([Buffer.from(plain.subarray(0, 512)).fill(1, 0, 1), plain.subarray(512)])],
		[/middle of an entry/, plain.subarray(0, 1000)],
		[/middle of an entry/, plain.subarray(0, 100)],
		[/middle of an entry/, toTar([{path: 'f', content: 'x', size: 100_000}])],
		[/after an extended header/, Buffer.concat([toBlocks('x', toPaxRecord('path', 'a')), END])],
		[/after an extended header/, toBlocks('L', Buffer.from('a\0'))],
		[/after an end mark/, Buffer.concat([Buffer.alloc(512), plain])],
		[/"nul\\x00x".*NUL byte/, toTar([{path: 'f', pax: {path: Buffer.from('nul\0x')}}])],
		[/NUL byte/, toTar([{path: 'f', type: '2', pax: {linkpath: Buffer.from('nul\0x')}}])],
		[/NUL byte/, toTar([{path: 'f', type: '1', pax: {linkpath: Buffer.from('nul\0x')}}])],
		[/NUL byte/, Buffer.concat([toBlocks('L', Buffer.from('hidden\0tail\0')), toMember({path: 'x'}), END])],
		[/"a\/\.\.\/b".*"\.\."/, toTar([{path: 'a/../b'}])],
		[/longer than 255 bytes/, toTar([{path: 'n'.repeat(256)}])],
		[/longer than 4095 bytes/, toTar([{path: `${'p'.repeat(100)}/`.repeat(41)}])],
		[/256 directories deep/, toTar([{path: 'd/'.repeat(5000), type: '5'}])],
		[/256 directories deep/, toTar([{path: `${'d/'.repeat(5000)}f`, gnu: true}])],
		[/target is longer/, toTar([{path: 'l', type: '2', link: 'x'.repeat(4096)}])],
		[/no target/, toTar([{path: 'l', type: '2'}])],
		[/unknown entry type "\\x07"/, toTar([{path: 'f', type: '\u0007'}])],
		[/unknown entry type "s"/, toTar([{path: 'socket', type: 's'}])],
		[/sparse/, toTar([{path: 'f', type: 'S'}])],
		[/sparse/, toTar([{path: 'f', pax: {'GNU.sparse.major': '1'}}])],
		[/uid is out of range/, toTar([{path: 'f', uid: 2 ** 32 - 1}])],
		[/gid is out of range/, toTar([{path: 'f', gid: -1}])],
		[/size is negative/, toTar([{path: 'f', size: -1}])],
		[/mtime is out of range/, toTar([{path: 'f', spoil: header => header.fill(0xc0, 136, 148)}])],
		[/not an octal number/, toTar([{path: 'f', spoil: header => header.write('0o9', 100)}])],
		[/device number/, toTar([{path: 'f', type: '3', major: 0x1000, minor: 1}])],
		[/must be a directory/, toTar([{path: '.'}])],
		[/not a directory/, toTar([{path: 'f'}, {path: 'f/x'}])],
		[/leads to no directory/, toTar([{path: 'l', type: '2', link: 'gone'}, {path: 'l/x'}])],
		[/symbolic links/, toTar([{path: 'l', type: '2', link: 'l'}, {path: 'l/x'}])],
		[/larger than 1 MiB/, Buffer.concat([toBlocks('x', toPaxRecord('comment', Buffer.alloc(1 << 20))), toMember({path: 'f'}), END])],
		...['5', '5 a', '999 a=b\n', '6 a=b', '6 abc\n', '5 =b\n', '99999999999999999999 a=b\n'].map((text): readonly [RegExp, Buffer] => [
			/extended header/,
			Buffer.concat([toBlocks('x', Buffer.from(text)), toMember({path: 'f'}), END]),
		]),
		...['x', '1.x', '99999999999999999999', '-', '.'].map((text): readonly [RegExp, Buffer] => [
			/PAX record "mtime"/,
			toTar([{path: 'f', pax: {mtime: text}}]),
		]),
		...['-1', '1 ', '0x1', '18446744073709551616'].map((text): readonly [RegExp, Buffer] => [/PAX record "size"/, toTar([{path: 'f', pax: {size: text}}])]),
	];
	for (const [message, stream] of refused) {
		for (const pieceBytes of [511, 1 << 21])
			await t.throwsAsync(unpack(`${await makeDir(t)}/fs`, stream, {pieceBytes}), {instanceOf: CorruptError, message}, String(message));
	}
});

test('damaged and cut streams are corrupt', async t => {
	const archive = toTar([{path: 'f', content: Buffer.from(Array.from({length: 5000}, (_, i) => (i * i) & 255))}]);
	for (const [compression, whole] of [
		['gzip', gzipSync(archive)],
		['zstd', zstdCompressSync(archive)],
	] as const) {
		const damaged = Buffer.from(whole);
		damaged[whole.length >> 1]! ^= 0x55;
		const wrong: readonly (readonly [RegExp, Buffer])[] = [
			[/truncated/, whole.subarray(0, -1)],
			[/truncated/, Buffer.alloc(0)],
			[/damaged|truncated|checksum|archive/, damaged],
			[/damaged/, archive],
			[/zero follow|damaged/, Buffer.concat([whole, Buffer.from('tail')])],
			[/not zero/, Buffer.concat([whole, Buffer.alloc(10), Buffer.from('tail')])],
		];
		for (const [message, stream] of wrong) await t.throwsAsync(unpack(`${await makeDir(t)}/fs`, stream, {compression}), {instanceOf: CorruptError, message});
	}
});

test('entries are limited, also those that take no inode for long', async t => {
	const many: readonly (readonly FakeEntry[])[] = [
		Array.from({length: 200}, (_, i) => ({path: `f${i}`})),
		[{path: 'f'}, ...Array.from({length: 200}, (_, i) => ({path: `h${i}`, type: '1', link: 'f'}))],
		Array.from({length: 200}, () => ({path: 'same'})),
		[{path: 'a/'.repeat(150), type: '5'}],
	];
	for (const entries of many)
		await t.throwsAsync(unpack(`${await makeDir(t)}/fs`, toTar(entries), {maxInodes: 100}), {instanceOf: ResourceExhaustedError, message: /more than 100/});
});

test('xattrs that do not fit are an error that names them', async t => {
	const pax = Object.fromEntries(Array.from({length: 200}, (_, i) => [`SCHILY.xattr.user.a${i}`, 'v'.repeat(3000)]));
	const outcome = await unpack(`${await makeDir(t)}/fs`, toTar([{path: 'f', pax}])).catch((error: unknown) => error);
	// Some filesystems have room for all.
	if (outcome instanceof Error) t.regex(outcome.message, /xattr "user\.a/);
	for (const name of ['user.x'.padEnd(300, 'x'), 'security.capability']) {
		const error = await t.throwsAsync(unpack(`${await makeDir(t)}/fs`, toTar([{path: 'f', pax: {[`SCHILY.xattr.${name}`]: 'wrong'}}])));
		t.true(error instanceof CorruptError, error.message);
	}
});

test('symbolic links nest a tree deeper than any path: it is replaced or removed all the same', async t => {
	const entries: FakeEntry[] = [];
	let above = '';
	for (let i = 0; i < 8; i++) {
		entries.push({path: `${above}${'d/'.repeat(60)}f`}, {path: `l${i}`, type: '2', link: `${above}${'d/'.repeat(60)}`});
		above = `l${i}/`;
	}
	const dir = await layerOf(t, [...entries, {path: 'd', content: 'now a file'}]);
	t.is(await readFile(`${dir}/d`, 'utf8'), 'now a file');
	const deep = await layerOf(t, entries);
	t.is((await kernel.treeUsage(deep)).inodes, 1 + 8 * 60 + 8 + 8);
	await kernel.removeTree(deep);
});

test('a disk that is full in the middle is told with the entry’s name, and what was written can be removed', async t => {
	const dir = await makeDir(t);
	await run('mount', ['-t', 'tmpfs', '-o', 'size=4m,nr_inodes=100', 'tmpfs', dir]);
	try {
		const full: readonly (readonly FakeEntry[])[] = [
			[{path: 'd/large', content: Buffer.alloc(8 << 20, 1)}],
			Array.from({length: 200}, (_, i) => ({path: `d/f${i}`})),
		];
		for (const entries of full) {
			const error = await t.throwsAsync(unpack(`${dir}/fs`, toTar(entries)), {instanceOf: ResourceExhaustedError});
			t.regex(error.message, /^unpack: (?:write|create) of entry "d\/(?:large|f\d+)": no space left on the filesystem$/);
			await kernel.removeTree(`${dir}/fs`);
			t.deepEqual(await readdir(dir), []);
			await unpack(`${dir}/fs`, toTar([{path: 'fits'}]));
			await kernel.removeTree(`${dir}/fs`);
		}
	} finally {
		await run('umount', [dir]);
	}
});
