import test from 'ava';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readdir, readFile, writeFile} from 'node:fs/promises';
import {CorruptError, UnavailableError} from '../base/errors.js';
import {takeDaemonLock} from './daemon-lock.js';
import {temporaryDirectory} from './fake-daemon.js';

test('takeDaemonLock refuses a second daemon, naming the first, until it is released', async t => {
	const directory = await temporaryDirectory(t);
	const lock = await takeDaemonLock(directory, 'boot');
	await t.throwsAsync(takeDaemonLock(directory, 'boot'), {instanceOf: UnavailableError, message: `another daemon (pid ${process.pid}) uses ${directory}`});
	t.deepEqual(await readdir(directory), ['daemon.lock']);
	await lock.release();
	t.deepEqual(await readdir(directory), []);
	await (await takeDaemonLock(directory, 'boot')).release();
});

test('takeDaemonLock takes over from a daemon that died', async t => {
	const directory = await temporaryDirectory(t);
	const child = spawn('true');
	await once(child, 'exit');
	await writeFile(`${directory}/daemon.lock`, JSON.stringify({pid: child.pid, startTicks: '1', bootId: 'boot'}));
	const lock = await takeDaemonLock(directory, 'boot');
	t.like(JSON.parse(await readFile(`${directory}/daemon.lock`, 'utf8')), {pid: process.pid});
	t.deepEqual(await readdir(directory), ['daemon.lock']);
	await lock.release();
});

test('takeDaemonLock takes over when the pid belongs to a later process', async t => {
	const directory = await temporaryDirectory(t);
	await writeFile(`${directory}/daemon.lock`, JSON.stringify({pid: process.pid, startTicks: '1', bootId: 'boot'}));
	await (await takeDaemonLock(directory, 'boot')).release();
	t.pass();
});

test('takeDaemonLock takes over after a reboot', async t => {
	const directory = await temporaryDirectory(t);
	await takeDaemonLock(directory, 'boot 1');
	await (await takeDaemonLock(directory, 'boot 2')).release();
	t.pass();
});

test('takeDaemonLock leaves a file alone that is not its own', async t => {
	const directory = await temporaryDirectory(t);
	await writeFile(`${directory}/daemon.lock`, 'notes');
	await t.throwsAsync(takeDaemonLock(directory, 'boot'), {instanceOf: CorruptError});
	t.is(await readFile(`${directory}/daemon.lock`, 'utf8'), 'notes');
});

test('of many that start at once over a dead daemon exactly one gets the lock', async t => {
	const directory = await temporaryDirectory(t);
	await writeFile(`${directory}/daemon.lock`, JSON.stringify({pid: process.pid, startTicks: '1', bootId: 'boot'}));
	const results = await Promise.allSettled(Array.from({length: 8}, () => takeDaemonLock(directory, 'boot')));
	t.is(results.filter(result => result.status === 'fulfilled').length, 1);
	t.deepEqual(await readdir(directory), ['daemon.lock']);
});
