import {chmod, link, mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {TarEntry} from '../../fixtures/tar.js';
import {findDamage, listStoreFiles} from './layers-on-disk.js';

const CONTENT = 'x'.repeat(5000);
const OWNER = {uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0};
const ENTRIES: readonly TarEntry[] = [
	{type: 'directory', path: 'd/', ...OWNER},
	{type: 'file', path: 'd/f', content: CONTENT, ...OWNER},
	{type: 'file', path: 'd/empty', content: '', ...OWNER},
	{type: 'hardlink', path: 'd/hard', target: 'd/f'},
	{type: 'symlink', path: 'd/soft', target: 'f', ...OWNER},
];

async function withLayer(t: ExecutionContext, use: (fs: string, rootDir: string) => Promise<void>): Promise<void> {
	const rootDir = await mkdtemp(join(tmpdir(), 'berth-layer-'));
	const fs = join(rootDir, 'layers/7/fs');
	try {
		await mkdir(join(fs, 'd'), {recursive: true, mode: 0o755});
		await writeFile(join(fs, 'd/f'), CONTENT, {mode: 0o644});
		await writeFile(join(fs, 'd/empty'), '', {mode: 0o644});
		await link(join(fs, 'd/f'), join(fs, 'd/hard'));
		await symlink('f', join(fs, 'd/soft'));
		t.deepEqual(await findDamage(rootDir, '7', ENTRIES), []);
		await use(fs, rootDir);
	} finally {
		await rm(rootDir, {recursive: true, force: true});
	}
}

const DAMAGES: Readonly<Record<string, {readonly harm: (fs: string) => Promise<void>; readonly seen: RegExp}>> = {
	'a file of zero bytes': {harm: fs => truncate(join(fs, 'd/f'), 0), seen: /d\/f: file .* 0 bytes/},
	'a file with a sector of zeros': {harm: fs => writeFile(join(fs, 'd/f'), `${'x'.repeat(904)}${'\0'.repeat(4096)}`), seen: /d\/f: file .* 5000 bytes/},
	'a file that is missing': {harm: fs => rm(join(fs, 'd/empty')), seen: /d\/empty: missing/},
	'a file too many': {harm: fs => writeFile(join(fs, 'more'), ''), seen: /more: .*must not be there/},
	'another mode': {harm: fs => chmod(join(fs, 'd/empty'), 0o600), seen: /d\/empty: file 600/},
	'a hard link that is a file of its own': {
		harm: async fs => {
			await writeFile(join(fs, 'new'), CONTENT, {mode: 0o644});
			await rename(join(fs, 'new'), join(fs, 'd/hard'));
		},
		seen: /d\/hard: .* at d\/hard/,
	},
	'no directory at all': {harm: fs => rm(fs, {recursive: true}), seen: /d: missing/},
};
for (const [name, {harm, seen}] of Object.entries(DAMAGES)) {
	test(`damage is seen: ${name}`, async t => {
		await withLayer(t, async (fs, rootDir) => {
			await harm(fs);
			t.regex((await findDamage(rootDir, '7', ENTRIES)).join('\n'), seen);
		});
	});
}

test('layers, records and everything else of the store are told apart', async t => {
	await withLayer(t, async (_, rootDir) => {
		const id = 'a'.repeat(64);
		for (const directory of ['images', 'layers/empty/fs', 'layers/new-1', 'content/sha256']) await mkdir(join(rootDir, directory), {recursive: true});
		await writeFile(join(rootDir, 'layers/7/layer.json'), JSON.stringify({version: 1, diffId: 'sha256:1'}));
		await writeFile(join(rootDir, 'images', `${id}.json`), '');
		await writeFile(join(rootDir, 'images', `${id}.json.1.tmp`), '');
		await writeFile(join(rootDir, 'content/sha256/x'), '');
		const {layers, imageIds, others} = await listStoreFiles(rootDir);
		t.deepEqual(Object.fromEntries(layers), {'7': 'sha256:1', 'new-1': null});
		t.deepEqual(imageIds, [`sha256:${id}`]);
		t.deepEqual(others, [`images/${id}.json.1.tmp`, 'content/sha256/x']);
	});
});
