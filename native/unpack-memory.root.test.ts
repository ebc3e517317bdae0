import {mkdir} from 'node:fs/promises';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import {ResourceExhaustedError} from '../base/errors.js';
import {toMember} from './fake-tar.js';
import {kernel, list, makeDir} from './unpack-rig.js';

// A file of its own: what other tests take would count, and so would what the sanitizers hold back.
test.serial('a bomb stops at the limit, and neither the disk nor memory takes more', async t => {
	const dir = await makeDir(t);
	const zeros = gzipSync(Buffer.alloc(16 << 20), {level: 9});
	// 1 TB of zeros for who reads on: the stream is given again and again until it is refused.
	for (const [name, size] of Object.entries({declared: 2 ** 40, file: 90 << 20, trailing: 1})) {
		await mkdir(`${dir}/${name}`);
		const unpacker = await kernel.openUnpacker({targetDir: `${dir}/${name}`, compression: 'gzip', maxBytes: 100 << 20, maxInodes: 10});
		const before = process.memoryUsage.rss();
		const error = await t.throwsAsync(
			async () => {
				await unpacker.write(gzipSync(toMember({path: 'bomb', size}).subarray(0, 512)));
				for (let i = 0; i < 65_536; i++) await unpacker.write(zeros);
			},
			{instanceOf: ResourceExhaustedError},
		);
		t.regex(error.message, /more than 104857600 bytes/);
		await unpacker.abort();
		t.true(process.memoryUsage.rss() - before < 60 << 20, `${name}: ${process.memoryUsage.rss() - before} bytes`);
		t.true((await kernel.treeUsage(`${dir}/${name}`)).bytes <= 101 << 20);
	}
});

test.serial('a flood of long directory names and of extended headers takes no memory', async t => {
	const dir = await makeDir(t);
	const prefix = `${'p'.repeat(250)}/`.repeat(12);
	const part = Buffer.concat(
		Array.from({length: 500}, (_, i) => toMember({path: `${prefix}${String(i).padStart(250, 'n')}`, type: '5', pax: {comment: 'c'.repeat(100_000)}})),
	);
	const unpacker = await kernel.openUnpacker({targetDir: dir, compression: 'none', maxBytes: 2 ** 40, maxInodes: 1e6});
	await unpacker.write(part);
	const before = process.memoryUsage.rss();
	for (let i = 0; i < 20; i++) await unpacker.write(part);
	await unpacker.write(Buffer.alloc(1024));
	await unpacker.finish();
	// 10,000 names of 3 KB would be 30 MB, the headers 1 GB.
	t.true(process.memoryUsage.rss() - before < 80 << 20, String(process.memoryUsage.rss() - before));
	t.is((await list(dir)).length, 512);
});
