import {lstat, mkdir, readFile, stat} from 'node:fs/promises';
import test, {type ExecutionContext} from 'ava';
import {CorruptError} from '../base/errors.js';
import {toTar, type FakeEntry} from './fake-tar.js';
import {isWhiteout, layerOf, list, makeDir, run, unpack, xattrs} from './unpack-rig.js';

const OPAQUE = {'trusted.overlay.opaque': Buffer.from('y').toString('hex')};

/** What is seen through overlay with the layers stacked, lowest first. */
async function merged(t: ExecutionContext, layers: readonly string[]): Promise<readonly string[]> {
	const mount = `${await makeDir(t)}/merged`;
	await mkdir(mount);
	// In a mount namespace of its own: nothing to unmount.
	const script = 'mount -t overlay overlay -o "lowerdir=$0" "$1" && cd "$1" && find . -mindepth 1 -printf "%P\\n"';
	const {stdout} = await run('unshare', ['--mount', 'sh', '-c', script, layers.toReversed().join(':'), mount]);
	return stdout.split('\n').filter(Boolean).toSorted();
}

async function lower(t: ExecutionContext): Promise<string> {
	return await layerOf(t, [{path: 'd/old'}, {path: 'd/sub/old'}, {path: 'f'}, {path: 'kept'}]);
}

test('a whiteout hides what lower layers have of that name, also a whole directory', async t => {
	const upper = await layerOf(t, [{path: '.wh.f'}, {path: 'd/.wh.sub', content: 'data of a whiteout is passed over'}, {path: '.wh.never'}]);
	t.true(await isWhiteout(`${upper}/f`));
	t.true(await isWhiteout(`${upper}/d/sub`));
	t.deepEqual(await list(upper), ['d', 'd/sub', 'f', 'never']);
	t.deepEqual(await merged(t, [await lower(t), upper]), ['d', 'd/old', 'kept']);
});

test('an opaque whiteout hides the directory’s lower content and none of the layer’s own, wherever it stands', async t => {
	const own: readonly FakeEntry[] = [{path: 'd', type: '5'}, {path: 'd/new'}, {path: 'd/sub/new'}];
	for (let at = 0; at <= own.length; at++) {
		const upper = await layerOf(t, own.toSpliced(at, 0, {path: 'd/.wh..wh..opq'}));
		t.deepEqual(await xattrs(`${upper}/d`), OPAQUE);
		t.deepEqual(await merged(t, [await lower(t), upper]), ['d', 'd/new', 'd/sub', 'd/sub/new', 'f', 'kept'], String(at));
	}
});

test('a whiteout and the same name in one layer: the layer’s own stays, a directory does not merge with the lower one', async t => {
	for (const own of [[{path: 'd', type: '5'}, {path: 'd/new'}], [{path: 'd/new'}]] as const) {
		for (const entries of [
			[{path: '.wh.d'}, ...own],
			[...own, {path: '.wh.d'}],
		]) {
			const upper = await layerOf(t, entries);
			t.deepEqual(await merged(t, [await lower(t), upper]), ['d', 'd/new', 'f', 'kept']);
		}
	}
	for (const type of ['0', '2', '6']) {
		for (const entries of [
			[{path: '.wh.d'}, {path: 'd', type, link: 'x'}],
			[{path: 'd', type, link: 'x'}, {path: '.wh.d'}],
		]) {
			const upper = await layerOf(t, entries);
			t.false(await isWhiteout(`${upper}/d`));
			t.deepEqual(await merged(t, [await lower(t), upper]), ['d', 'f', 'kept']);
		}
	}
});

test('an opaque root is told: overlay would still show what is below', async t => {
	const dir = `${await makeDir(t)}/fs`;
	const sums = await unpack(dir, toTar([{path: 'new'}, {path: '.wh..wh..opq'}]));
	t.true(sums.opaqueRoot);
	t.deepEqual(await xattrs(dir), OPAQUE);
	t.deepEqual(await list(dir), ['new']);
});

test('names that begin with .wh..wh. are aufs’s and make nothing', async t => {
	const dir = await layerOf(t, [
		{path: '.wh..wh.plnk', type: '5'},
		{path: '.wh..wh.plnk/1.2', content: 'x'},
		{path: '.wh..wh.aufs'},
		{path: 'd/.wh..wh.orph/x'},
		{path: 'a.wh.b'},
	]);
	t.deepEqual(await list(dir), ['a.wh.b']);
});

test('whiteouts that name nothing or hold entries are refused', async t => {
	for (const name of ['.wh.', '.wh..', '.wh...', 'd/.wh.', '.wh.x/file']) {
		await t.throwsAsync(unpack(`${await makeDir(t)}/fs`, toTar([{path: name}])), {instanceOf: CorruptError, message: /whiteout/}, name);
	}
});

test('hard links: to a symbolic link, across a whiteout, to itself; refused: to what is absent, hidden, a directory, the root or its own victim', async t => {
	const dir = await layerOf(t, [
		{path: 'l', type: '2', link: 'nowhere'},
		{path: 'h', type: '1', link: 'l'},
		{path: 'f', content: 'f'},
		{path: '.wh.g'},
		{path: 'g', type: '1', link: '/f'},
		{path: 'f', type: '1', link: './f'},
		{path: 'to', type: '2', link: '/sub'},
		{path: 'sub', type: '5'},
		{path: 'to/through', type: '1', link: 'f'},
		{path: 'back', type: '1', link: 'to/through'},
	]);
	t.is((await lstat(`${dir}/h`)).ino, (await lstat(`${dir}/l`)).ino);
	t.true((await lstat(`${dir}/h`)).isSymbolicLink());
	for (const name of ['g', 'sub/through', 'back']) t.is((await stat(`${dir}/${name}`)).ino, (await stat(`${dir}/f`)).ino);
	t.is(await readFile(`${dir}/f`, 'utf8'), 'f');
	t.is((await stat(`${dir}/f`)).nlink, 4);
	const refused: readonly (readonly [RegExp, readonly FakeEntry[]])[] = [
		[/links to "gone", which the layer does not have/, [{path: 'x', type: '1', link: 'gone'}]],
		[/links to "no\/gone", which the layer does not have/, [{path: 'x', type: '1', link: 'no/gone'}]],
		[/links to "hidden", which the layer does not have/, [{path: '.wh.hidden'}, {path: 'x', type: '1', link: 'hidden'}]],
		[
			/directory/,
			[
				{path: 'd', type: '5'},
				{path: 'x', type: '1', link: 'd'},
			],
		],
		[/root/, [{path: 'x', type: '1', link: '/'}]],
		[/root/, [{path: 'x', type: '1', link: ''}]],
		[/links to "d\/f", which the layer does not have/, [{path: 'd/f'}, {path: 'd', type: '1', link: 'd/f'}]],
	];
	for (const [message, entries] of refused) await t.throwsAsync(unpack(`${await makeDir(t)}/fs`, toTar(entries)), {instanceOf: CorruptError, message});
});
