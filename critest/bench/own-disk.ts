import {mkdir, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {runOk} from '../rig/command.js';

const SIZE = '6G';
const TIMEOUT_MS = 300_000;

/** A mounted filesystem that nobody else uses. */
export interface OwnDisk extends AsyncDisposable {
	readonly dir: string;
}

/**
 * A fresh ext4, as mkfs makes it, on a loop device over a file that is allocated whole. Not the machine's own filesystem: that may have no
 * journal, and then ext4 looks at each inode that was freed in the last minutes before it takes the next (recently_deleted() in the kernel's
 * fs/ext4/ialloc.c), so that a pull after a removal takes many times longer; or others write to it.
 */
export async function openOwnDisk(): Promise<OwnDisk> {
	const base = await mkdtemp(join(tmpdir(), 'berth-bench-disk-'));
	const dir = join(base, 'mounted');
	const file = join(base, 'disk.img');
	const stack = new AsyncDisposableStack();
	stack.defer(async () => await rm(base, {recursive: true, force: true}));
	try {
		await mkdir(dir);
		await runOk(['fallocate', '--length', SIZE, file]);
		// Now, and not by the kernel in the middle of what is measured.
		await runOk(['mkfs.ext4', '-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', file], {timeoutMs: TIMEOUT_MS});
		const device = (await runOk(['losetup', '--find', '--show', '--direct-io=on', file])).trim();
		stack.defer(async () => void (await runOk(['losetup', '--detach', device])));
		await runOk(['mount', '-t', 'ext4', device, dir]);
		stack.defer(async () => void (await runOk(['umount', dir], {timeoutMs: TIMEOUT_MS})));
	} catch (error) {
		await stack.disposeAsync();
		throw error;
	}
	return {dir, [Symbol.asyncDispose]: async () => await stack.disposeAsync()};
}
