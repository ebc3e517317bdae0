import {chmod, chown, mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import {setImmediate} from 'node:timers/promises';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import {CancelledError, CorruptError, SyscallError} from '../base/errors.js';
import {toMember, toTar} from './fake-tar.js';
import {kernel, linkTarget, list, makeDir, run, unpack, untilNone, writersOf} from './unpack-rig.js';

test('an abort in the middle leaves the directory to the caller; later steps say so; a second abort is none', async t => {
	const targetDir = await makeDir(t);
	const unpacker = await kernel.openUnpacker({targetDir, compression: 'none', maxBytes: 2 ** 40, maxInodes: 1000});
	await unpacker.write(toMember({path: 'large', size: 2 ** 33}).subarray(0, 512));
	const writing = (async (): Promise<void> => {
		for (;;) await unpacker.write(Buffer.alloc(1 << 20));
	})();
	const refused = t.throwsAsync(writing, {instanceOf: CancelledError});
	while ((await list(targetDir)).length === 0);
	await Promise.all([unpacker.abort(), unpacker.abort()]);
	await refused;
	await t.throwsAsync(unpacker.finish(), {instanceOf: CancelledError});
	const before = (await stat(`${targetDir}/large`)).size;
	await kernel.removeTree(targetDir);
	t.true(before > 0);
});

test('a target that is missing, a file or a link is refused; the process keeps its own root, umask and descriptors', async t => {
	const dir = await makeDir(t);
	await writeFile(`${dir}/file`, '');
	await run('ln', ['-s', '/', `${dir}/link`]);
	for (const target of ['missing', 'file', 'link']) {
		const request = {targetDir: `${dir}/${target}`, compression: 'gzip', maxBytes: 1, maxInodes: 1} as const;
		const error = await t.throwsAsync(kernel.openUnpacker(request), {instanceOf: SyscallError});
		t.is(error.details['path'], `${dir}/${target}`);
	}
	const before = process.umask();
	await unpack(`${dir}/fs`, toTar([{path: 'f', mode: 0o666}]));
	t.is(process.umask(), before);
	t.is((await stat(`${dir}/fs/f`)).mode & 0o777, 0o666);
	t.is(await linkTarget('/proc/self/root'), '/');
	await chmod(dir, 0o700);
	await chown(dir, 1, 1);
	await mkdir(`${dir}/still-root`);
	t.is((await stat(`${dir}/still-root`)).uid, 0);
	await t.throwsAsync(unpack(`${dir}/other`, Buffer.from('no tar'.repeat(200))), {instanceOf: CorruptError});
});

test('an unpacker that is dropped without a word, or a failed one, leaves no thread', async t => {
	const dir = await makeDir(t);
	const request = {targetDir: dir, compression: 'gzip', maxBytes: 2 ** 30, maxInodes: 100} as const;
	const failed = await kernel.openUnpacker(request);
	await failed.write(Buffer.from('no gzip'));
	await t.throwsAsync(failed.finish(), {message: /gzip/});
	await untilNone(dir);
	const aborted = await kernel.openUnpacker(request);
	await aborted.abort();
	await untilNone(dir);
	setFlagsFromString('--expose-gc');
	const collect = runInNewContext('gc') as () => void;
	const held = [await kernel.openUnpacker(request)];
	t.is((await writersOf(dir)).length, 1);
	t.is(held.splice(0).length, 1);
	while ((await writersOf(dir)).length > 0) {
		collect();
		await setImmediate();
	}
});

test('several layers at once do not meet, and a failing one does not hold up the others', async t => {
	const dir = await makeDir(t);
	const results = await Promise.allSettled(
		Array.from({length: 8}, async (_, i) => {
			const entries = Array.from({length: 200}, (_entry, j) => ({path: `d${j % 7}/f${j}`, content: Buffer.alloc(i * 1000 + j, i)}));
			const stream = gzipSync(toTar(entries));
			await unpack(`${dir}/${i}`, i === 3 ? stream.subarray(0, -9) : stream, {compression: 'gzip', pieceBytes: 3000});
		}),
	);
	t.deepEqual(
		results.map(({status}) => status === 'fulfilled'),
		Array.from({length: 8}, (_, i) => i !== 3),
	);
	for (const i of [0, 1, 2, 4, 5, 6, 7]) {
		t.is((await list(`${dir}/${i}`)).length, 207);
		t.deepEqual(await readFile(`${dir}/${i}/d4/f102`), Buffer.alloc(i * 1000 + 102, i));
	}
});
