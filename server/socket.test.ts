import {Server} from '@grpc/grpc-js';
import test from 'ava';
import {readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {createConnection, createServer} from 'node:net';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {dirname} from 'node:path';
import {InvalidArgumentError, UnavailableError} from '../base/errors.js';
import {temporaryDirectory} from './fake-daemon.js';
import {bindSocket} from './socket.js';

test('bindSocket makes the directory and a socket of mode 0660, and leaves nothing else there', async t => {
	const path = `${await temporaryDirectory(t)}/run/berth.sock`;
	const server = new Server();
	t.teardown(() => server.forceShutdown());
	await bindSocket(server, path);
	const {mode} = await stat(path);
	t.is(mode & 0o777, 0o660);
	t.deepEqual(await readdir(dirname(path)), ['berth.sock']);
	const client = createConnection(path);
	await once(client, 'connect');
	client.destroy();
});

test('bindSocket refuses a path on which a daemon answers, and leaves it alone', async t => {
	const path = `${await temporaryDirectory(t)}/berth.sock`;
	const other = createServer().listen(path);
	await once(other, 'listening');
	t.teardown(() => void other.close());
	const server = new Server();
	t.teardown(() => server.forceShutdown());
	await t.throwsAsync(bindSocket(server, path), {instanceOf: UnavailableError, message: `another daemon answers on ${path}`});
	t.true((await stat(path)).isSocket());
});

test('bindSocket takes over the socket of a daemon that was killed', async t => {
	const path = `${await temporaryDirectory(t)}/berth.sock`;
	const dead = spawn(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`]);
	await once(dead, 'exit');
	t.true((await stat(path)).isSocket());
	const server = new Server();
	t.teardown(() => server.forceShutdown());
	await t.notThrowsAsync(bindSocket(server, path));
});

test('bindSocket refuses to replace a file', async t => {
	const path = `${await temporaryDirectory(t)}/berth.sock`;
	await writeFile(path, 'precious');
	await t.throwsAsync(bindSocket(new Server(), path), {instanceOf: InvalidArgumentError, message: `socket: ${path} exists and is not a socket`});
	t.is(await readFile(path, 'utf8'), 'precious');
});

test('bindSocket refuses a path that unix(7) cannot hold', async t => {
	const path = `/run/${'x'.repeat(110)}`;
	await t.throwsAsync(bindSocket(new Server(), path), {instanceOf: InvalidArgumentError, message: /^socket: .* is longer than 107 bytes/});
});
