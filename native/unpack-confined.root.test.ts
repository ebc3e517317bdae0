import {readdir, readFile, readlink} from 'node:fs/promises';
import test from 'ava';
import {toMember} from './fake-tar.js';
import {kernel, list, makeDir, untilNone, writersOf} from './unpack-rig.js';

test('the thread that writes has the layer as its root, nothing of the daemon’s open, and few capabilities; it ends with the layer', async t => {
	const dir = await makeDir(t);
	const unpacker = await kernel.openUnpacker({targetDir: dir, compression: 'none', maxBytes: 2 ** 30, maxInodes: 100});
	try {
		const [task = '', ...more] = await writersOf(dir);
		t.deepEqual(more, []);
		t.is(await readlink(`${task}/cwd`), dir);
		const open = await Promise.all((await readdir(`${task}/fd`)).map(async fd => [Number(fd), await readlink(`${task}/fd/${fd}`)] as const));
		t.deepEqual(
			open.filter(([fd]) => fd > 2).map(([, path]) => path),
			[dir],
		);
		const status = await readFile(`${task}/status`, 'utf8');
		const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? '';
		// CHOWN DAC_OVERRIDE FOWNER FSETID SYS_ADMIN MKNOD SETFCAP, as far as the test itself has them.
		const kept = [0, 1, 3, 4, 21, 27, 31].reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);
		for (const name of ['CapPrm', 'CapEff']) t.is(BigInt(`0x${field(name)}`) & ~kept, 0n, name);
		t.is(field('CapInh'), '0'.repeat(16));
		t.is(field('Umask'), '0000');
		// The test's own thread is as it was.
		const own = await readFile('/proc/thread-self/status', 'utf8');
		t.true(BigInt(`0x${/^CapEff:\s*(\S+)/m.exec(own)?.[1] ?? '0'}`) > kept);
		await unpacker.write(toMember({path: 'd/f'}));
		await unpacker.write(Buffer.alloc(1024));
		const {landlockVersion} = await unpacker.finish();
		// no_new_privs is set for Landlock only.
		t.is(field('NoNewPrivs'), landlockVersion > 0 ? '1' : '0');
		await untilNone(dir);
		t.deepEqual(await list(dir), ['d', 'd/f']);
	} finally {
		await unpacker.abort();
	}
});
