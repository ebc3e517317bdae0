import {execFile} from 'node:child_process';
import {readdir, readlink} from 'node:fs/promises';
import {promisify} from 'node:util';
import test from 'ava';
import {systemClock} from '../base/clock.js';
import {SyscallError, UnavailableError, UnimplementedError} from '../base/errors.js';
import {addon} from './addon.js';
import {Connection, type ConnectionEvents} from './connection.js';
import {FakePeer} from './fake-peer.js';
import {BodyReader, BodyWriter, encodeHeader, type Header} from './protocol.js';
import {HEADER_BYTES, HEADER_FLAG, MESSAGE, PROTOCOL_VERSION, TAG} from './protocol-numbers.js';

const quiet: ConnectionEvents = {onEvent() {}, onLost() {}};

test('HELLO, then replies reach their requests whatever their order', async t => {
	const peer = new FakePeer();
	const held: Header[] = [];
	peer.answer = header => void held.push(header);
	const connection = await Connection.over('monitor', peer.near, quiet);
	t.is(connection.peerPid, 4711);
	const replies = [1, 2, 3].map(async () => (await connection.request(MESSAGE.LIST)).body.u32(TAG.PID));
	while (held.length < 3) await systemClock.sleep(1);
	for (const header of held.toReversed()) peer.reply(header, new BodyWriter().u32(TAG.PID, header.requestId));
	t.deepEqual(
		await Promise.all(replies),
		held.map(header => header.requestId),
	);
	connection.close();
	peer.channel.close();
});

test('a failed reply is a SyscallError with stage, errno and path', async t => {
	const peer = new FakePeer();
	peer.answer = header => peer.reply(header, new BodyWriter().string(TAG.ERROR_STAGE, 'mount proc').string(TAG.ERROR_PATH, '/proc'), 13);
	const connection = await Connection.over('monitor', peer.near, quiet);
	const error = await t.throwsAsync(connection.request(MESSAGE.START), {instanceOf: SyscallError});
	t.deepEqual(error.details, {stage: 'mount proc', errno: 13, path: '/proc'});
	connection.close();
	peer.channel.close();
});

test('a body that is too long for a packet travels in a file, both ways, with descriptors beside it', async t => {
	const peer = new FakePeer();
	const long = 'x'.repeat(300_000);
	peer.answer = (header, inline, fds) => {
		t.is(header.flags, HEADER_FLAG.BODY_IN_MEMFD);
		t.is(inline.length, 0);
		const body = new BodyReader(addon.readMemoryFile(fds[0]!, header.bodyBytes));
		t.is(body.string(TAG.VALUE), long);
		t.is(addon.readMemoryFile(fds[1]!, 10).toString(), 'beside');
		addon.closeFds(fds);
		const back = new BodyWriter().string(TAG.VALUE, long.toUpperCase()).finish();
		peer.send({...header, status: 0, flags: HEADER_FLAG.REPLY | HEADER_FLAG.BODY_IN_MEMFD}, back, [
			addon.memoryFile(back),
			addon.memoryFile(Buffer.from('back')),
		]);
	};
	const connection = await Connection.over('monitor', peer.near, quiet);
	const reply = await connection.request(MESSAGE.CREATE_CONTAINER, new BodyWriter().string(TAG.VALUE, long), [addon.memoryFile(Buffer.from('beside'))]);
	t.is(reply.body.string(TAG.VALUE), long.toUpperCase());
	t.is(addon.readMemoryFile(reply.fds[0]!, 10).toString(), 'back');
	addon.closeFds(reply.fds);
	connection.close();
	peer.channel.close();
});

test('when the peer goes, requests in flight and later ones are UnavailableError, and onLost is told once', async t => {
	const peer = new FakePeer();
	let lost = 0;
	const connection = await Connection.over('monitor', peer.near, {...quiet, onLost: () => void lost++});
	peer.answer = () => peer.channel.close();
	await t.throwsAsync(connection.request(MESSAGE.START), {instanceOf: UnavailableError, message: 'the connection to the monitor is gone'});
	await t.throwsAsync(connection.request(MESSAGE.START), {instanceOf: UnavailableError});
	connection.close();
	t.is(lost, 1);
});

test('close() fails what is in flight and tells nobody', async t => {
	const peer = new FakePeer();
	const connection = await Connection.over('monitor', peer.near, {...quiet, onLost: () => t.fail()});
	const request = connection.request(MESSAGE.START);
	connection.close();
	await t.throwsAsync(request, {instanceOf: UnavailableError});
	peer.channel.close();
});

test('a peer that speaks only later versions is refused', async t => {
	const peer = new FakePeer();
	peer.version = PROTOCOL_VERSION + 1;
	await t.throwsAsync(Connection.over('monitor', peer.near, quiet), {instanceOf: UnimplementedError});
	peer.channel.close();
});

for (const [what, message] of [
	['no header', Buffer.from('hello')],
	['a wrong magic number', Buffer.alloc(HEADER_BYTES)],
	['less body than it says', encodeHeader({version: 1, type: 1, requestId: 1, status: 0, flags: 2, bodyBytes: 5})],
	['a file without a descriptor', encodeHeader({version: 1, type: 1, requestId: 1, status: 0, flags: 3, bodyBytes: 5})],
] as const) {
	test(`a message with ${what} ends the connection`, async t => {
		const peer = new FakePeer();
		const lost = Promise.withResolvers<void>();
		const connection = await Connection.over('monitor', peer.near, {...quiet, onLost: lost.resolve});
		peer.channel.send(message, []);
		await lost.promise;
		t.false(connection.isOpen);
		peer.channel.close();
	});
}

test('what does not fit into the socket is queued and arrives whole and in order', async t => {
	const count = 5000;
	const seen: number[] = [];
	const peer = new FakePeer();
	peer.answer = (header, body) => {
		seen.push(new BodyReader(body).u32(TAG.PID));
		peer.reply(header, new BodyWriter());
	};
	const connection = await Connection.over('monitor', peer.near, quiet);
	const padding = Buffer.alloc(2000);
	await Promise.all(
		Array.from({length: count}, async (_, i) => await connection.request(MESSAGE.LIST, new BodyWriter().u32(TAG.PID, i).bytes(TAG.VALUE, padding))),
	);
	t.deepEqual(
		seen,
		Array.from({length: count}, (_, i) => i),
	);
	connection.close();
	peer.channel.close();
});

test.serial('descriptors do not leak: sent, refused and unwanted ones are closed', async t => {
	// Other test files run in this process, so only the kind of descriptor that they do not have is counted.
	const openFiles = async (): Promise<number> => {
		const targets = (await readdir('/proc/self/fd')).map(async fd => await readlink(`/proc/self/fd/${fd}`).catch(() => ''));
		return (await Promise.all(targets)).filter(target => target.startsWith('/memfd:berth-body')).length;
	};
	for (let i = 0; i < 20; i++) {
		const peer = new FakePeer();
		const connection = await Connection.over('monitor', peer.near, quiet);
		peer.answer = (header, _body, fds) => {
			addon.closeFds(fds);
			peer.reply(header, new BodyWriter().string(TAG.ERROR_STAGE, 'x'), 5, [addon.memoryFile(Buffer.from('unwanted'))]);
		};
		await t.throwsAsync(connection.request(MESSAGE.EXEC, new BodyWriter(), [addon.memoryFile(Buffer.from(''))]), {instanceOf: SyscallError});
		const many = Array.from({length: 300}, () => addon.memoryFile(Buffer.from('')));
		await t.throwsAsync(connection.request(MESSAGE.EXEC, new BodyWriter(), many), {instanceOf: SyscallError});
		connection.close();
		await t.throwsAsync(connection.request(MESSAGE.EXEC, new BodyWriter(), [addon.memoryFile(Buffer.from(''))]), {instanceOf: UnavailableError});
		peer.channel.close();
	}
	t.is(await openFiles(), 0);
});

const run = promisify(execFile);
const addonPath = new URL('./berth.node', import.meta.url).pathname;

test('a callback that throws is an uncaughtException, and the addon goes on', async t => {
	const script = `
		const addon = require(${JSON.stringify(addonPath)});
		process.on('uncaughtException', error => console.log('uncaught', error.message));
		const [a, b] = addon.socketPair();
		const one = new addon.Channel(a, message => { console.log(String(message)); if (String(message) === 'first') throw new Error('thrown'); one.close(); two.close(); }, () => {});
		const two = new addon.Channel(b, () => {}, () => {});
		two.send(Buffer.from('first'), []);
		two.send(Buffer.from('second'), []);
		addon.readFiles(['/'], () => { throw new Error('from work'); });`;
	const {stdout} = await run(process.execPath, ['-e', script]);
	t.deepEqual(stdout.trim().split('\n').sort(), ['first', 'second', 'uncaught from work', 'uncaught thrown']);
});

test('wrong arguments are TypeErrors, and an environment that ends with everything open ends cleanly', async t => {
	const script = `
		const {Worker} = require('node:worker_threads');
		const body = ${JSON.stringify(`
			const addon = require(${JSON.stringify(addonPath)});
			const assert = require('node:assert');
			for (const call of [() => addon.connect(1), () => addon.readFiles('x', () => {}), () => addon.spawnProgram('/bin/true', [1], [], Buffer.alloc(0), '', () => {}), () => new addon.Channel('x'), () => addon.compileSeccomp()]) assert.throws(call, TypeError);
			const [a] = addon.socketPair();
			new addon.Channel(a, () => {}, () => {});
			new addon.FdStream(addon.pipe()[0], () => {}).read();
			for (let i = 0; i < 50; i++) addon.treeUsage('/proc/self', () => {});
			setImmediate(() => process.exit(0));`)};
		let left = 5;
		const next = () => { if (left-- > 0) new Worker(body, {eval: true}).on('error', error => { throw error; }).on('exit', next); else console.log('done'); };
		next();`;
	const {stdout} = await run(process.execPath, ['-e', script]);
	t.is(stdout.trim(), 'done');
});
