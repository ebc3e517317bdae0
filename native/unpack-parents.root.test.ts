import test, {type ExecutionContext} from 'ava';
import {ResourceExhaustedError} from '../base/errors.js';
import {type FakeEntry, toTar} from './fake-tar.js';
import {describe, kernel, list, makeDir, unpack, xattrs} from './unpack-rig.js';

/** A layer, and what its directories take over from `lowers` (lowest first). @returns where it is. */
async function stacked(t: ExecutionContext, lowers: readonly string[], entries: readonly FakeEntry[]): Promise<string> {
	const dir = `${await makeDir(t)}/fs`;
	const {unnamedDirectories} = await unpack(dir, toTar(entries));
	await kernel.inheritDirectories(dir, lowers.toReversed(), unnamedDirectories);
	return dir;
}
const layer = async (t: ExecutionContext, entries: readonly FakeEntry[]): Promise<string> => await stacked(t, [], entries);

/** Mode and owner; the root's own are not looked at. */
async function look(path: string): Promise<string> {
	return (await describe(path)).split(' ').slice(0, 3).join(' ');
}
const TMP: FakeEntry = {path: 'tmp', type: '5', mode: 0o1777, uid: 7, gid: 8};
const DEFAULT = 'dir 755 0:0';

test('the unpacker tells which directories no entry names, parents first', async t => {
	const told = async (entries: readonly FakeEntry[]): Promise<readonly string[]> => {
		const {unnamedDirectories} = await unpack(`${await makeDir(t)}/fs`, toTar(entries));
		return Buffer.from(unnamedDirectories).toString().split('\0').filter(Boolean);
	};
	t.deepEqual(await told([{path: 'a/b/c'}, {path: 'x/y/.wh.z'}]), ['.', 'a', 'a/b', 'x', 'x/y']);
	t.deepEqual(await told([{path: 'a/b/c'}, {path: 'a/b', type: '5'}]), ['.', 'a'], 'named later');
	t.deepEqual(await told([{path: './', type: '5'}, {path: 'a', type: '5'}, {path: 'a/f'}]), []);
	t.deepEqual(await told([{path: '.wh.a'}, {path: 'a/f'}]), ['.'], 'what stands where a whiteout stood has nothing below');
});

test('a directory that a layer does not name keeps owner, mode, xattrs and time of the layer below', async t => {
	const lower = await layer(t, [{...TMP, mtime: 1_000_000_000, pax: {'SCHILY.xattr.user.note': 'kept'}}]);
	const upper = await stacked(t, [lower], [{path: 'tmp/sub/f'}]);
	t.is(await describe(`${upper}/tmp`), 'dir 1777 7:8 1000000000000000000');
	t.deepEqual(await xattrs(`${upper}/tmp`), await xattrs(`${lower}/tmp`));
	t.is(await look(`${upper}/tmp/sub`), DEFAULT, 'nothing below has it');
});

test('the root itself is taken over as well, unless the layer names it', async t => {
	const lower = await layer(t, [{path: './', type: '5', mode: 0o711, uid: 3, gid: 4}]);
	t.is(await look(await stacked(t, [lower], [{path: 'f'}])), 'dir 711 3:4');
	t.is(await look(await stacked(t, [lower], [{path: './', type: '5', mode: 0o700}])), 'dir 700 0:0');
});

test('the topmost layer that has it says, through layers that do not', async t => {
	const bottom = await layer(t, [TMP]);
	const middle = await layer(t, [{path: 'other'}]);
	const changed = await layer(t, [{path: 'tmp', type: '5', mode: 0o700, uid: 1, gid: 1}]);
	t.is(await look(`${await stacked(t, [bottom, middle], [{path: 'tmp/f'}])}/tmp`), 'dir 1777 7:8');
	t.is(await look(`${await stacked(t, [bottom, changed, middle], [{path: 'tmp/f'}])}/tmp`), 'dir 700 1:1');
	const through = await stacked(t, [bottom], [{path: 'tmp/g'}]);
	t.is(await look(`${await stacked(t, [bottom, through], [{path: 'tmp/f'}])}/tmp`), 'dir 1777 7:8', 'one that took it over says it as well');
});

for (const [what, hiding] of [
	['a whiteout', [{path: '.wh.tmp'}]],
	['a file', [{path: 'tmp'}]],
	['a link', [{path: 'tmp', type: '2', link: 'elsewhere'}]],
] as const) {
	test(`${what} between hides the lower directory`, async t => {
		const upper = await stacked(t, [await layer(t, [TMP]), await layer(t, hiding)], [{path: 'tmp/f'}]);
		t.is(await look(`${upper}/tmp`), DEFAULT);
	});
}

test('an opaque directory between hides what it does not have, and says of itself', async t => {
	const bottom = await layer(t, [
		{path: 'a', type: '5', mode: 0o711},
		{path: 'a/b', type: '5', mode: 0o1777},
	]);
	const opaque = await layer(t, [{path: 'a', type: '5', mode: 0o750}, {path: 'a/.wh..wh..opq'}]);
	const upper = await stacked(t, [bottom, opaque], [{path: 'a/b/f'}]);
	t.is(await look(`${upper}/a`), 'dir 750 0:0');
	t.is(await look(`${upper}/a/b`), DEFAULT);
});

test('links of the layer itself are not followed, in either layer', async t => {
	const outside = await makeDir(t);
	const lower = await layer(t, [
		{path: 'a', type: '2', link: outside},
		{path: 'b', type: '5', mode: 0o700},
	]);
	const upper = await stacked(t, [lower], [{path: 'real', type: '5'}, {path: 'b', type: '2', link: 'real'}, {path: 'b/sub/f'}, {path: 'a/f'}]);
	t.is(await look(`${upper}/a`), DEFAULT);
	t.is(await look(`${upper}/real`), DEFAULT);
	t.true((await list(upper)).includes('real/sub/f'));
	t.is((await look(outside)).split(' ')[1], '700', 'mkdtemp');
});

test('directories that are not named are bounded by the length of their paths', async t => {
	const deep = Array.from({length: 15}, () => 'd'.repeat(250)).join('/');
	const many = Array.from({length: 2500}, (_, index) => ({path: `${deep}/${index}/f`}));
	await t.throwsAsync(unpack(`${await makeDir(t)}/fs`, toTar(many)), {instanceOf: ResourceExhaustedError, message: /not named by the layer/});
	const {unnamedDirectories} = await unpack(`${await makeDir(t)}/fs`, toTar(many.slice(0, 1000)));
	t.true(unnamedDirectories.length > 3_000_000);
});
