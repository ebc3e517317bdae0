import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {CorruptError, SyscallError, UnavailableError} from '../base/errors.js';
import {openNative} from '../native/open-native.js';
import {takeDaemonLock} from './daemon-lock.js';
import {temporaryDirectory} from './fake-daemon.js';

const {kernel} = openNative();

test('takeDaemonLock refuses a second daemon, naming the first, until it is released', async t => {
	const directory = await temporaryDirectory(t);
	const lock = await takeDaemonLock(kernel, directory);
	await t.throwsAsync(takeDaemonLock(kernel, directory), {instanceOf: UnavailableError, message: `another daemon (pid ${process.pid}) uses ${directory}`});
	lock.release();
	lock.release();
	(await takeDaemonLock(kernel, directory)).release();
	t.deepEqual(await readdir(directory), ['daemon.lock']);
});

test('takeDaemonLock takes over from a daemon that was killed', async t => {
	const directory = await temporaryDirectory(t);
	const module = (path: string): string => JSON.stringify(fileURLToPath(new URL(path, import.meta.url)));
	const script = `
		import {takeDaemonLock} from ${module('./daemon-lock.js')};
		import {openNative} from ${module('../native/open-native.js')};
		await takeDaemonLock(openNative().kernel, ${JSON.stringify(directory)});
		process.stdout.write('locked');
		setInterval(() => {}, 1000);`;
	const child = spawn(process.execPath, ['--input-type=module', '-e', script], {stdio: ['ignore', 'pipe', 'inherit']});
	t.teardown(() => child.kill('SIGKILL'));
	await once(child.stdout, 'data');
	await t.throwsAsync(takeDaemonLock(kernel, directory), {instanceOf: UnavailableError, message: new RegExp(`pid ${child.pid}`)});
	child.kill('SIGKILL');
	await once(child, 'exit');
	const lock = await takeDaemonLock(kernel, directory);
	t.like(JSON.parse(await readFile(`${directory}/daemon.lock`, 'utf8')), {pid: process.pid});
	lock.release();
});

test('takeDaemonLock leaves a file alone that is not its own, and follows no link', async t => {
	const directory = await temporaryDirectory(t);
	await writeFile(`${directory}/daemon.lock`, 'notes');
	await t.throwsAsync(takeDaemonLock(kernel, directory), {instanceOf: CorruptError});
	t.is(await readFile(`${directory}/daemon.lock`, 'utf8'), 'notes');
	const other = await temporaryDirectory(t);
	await symlink(`${other}/elsewhere`, `${other}/daemon.lock`);
	await t.throwsAsync(takeDaemonLock(kernel, other), {instanceOf: SyscallError});
	t.deepEqual(await readdir(other), ['daemon.lock']);
});

test('of many that start at once over a dead daemon exactly one gets the lock', async t => {
	const directory = await temporaryDirectory(t);
	await writeFile(`${directory}/daemon.lock`, JSON.stringify({pid: 1}));
	const results = await Promise.allSettled(Array.from({length: 8}, () => takeDaemonLock(kernel, directory)));
	t.is(results.filter(result => result.status === 'fulfilled').length, 1);
	for (const result of results) if (result.status === 'fulfilled') result.value.release();
});
