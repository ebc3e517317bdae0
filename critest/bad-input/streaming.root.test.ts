import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {request} from 'node:http';
import {connect as connectSocket, type Socket} from 'node:net';
import {deflateSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import {pullBusybox, removePod, runContainer, runPod, toContainerConfig, until, type Pod} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test);
const MIB = 1024 * 1024;

const websocket = {Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=='};
const v5 = {...websocket, 'Sec-WebSocket-Protocol': 'v5.channel.k8s.io'};
const spdy = {Connection: 'Upgrade', Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': 'v4.channel.k8s.io'};

interface Answer {
	readonly statusCode: number;
	readonly body: string;
	readonly socket: Socket | null;
}

async function present(url: string, headers: Readonly<Record<string, string>>, method = 'GET'): Promise<Answer> {
	const {promise, resolve, reject} = Promise.withResolvers<Answer>();
	const outgoing = request(url, {method, headers, agent: false});
	outgoing.on('upgrade', (response, socket, head) => {
		socket.unshift(head);
		socket.on('error', () => {});
		resolve({statusCode: response.statusCode ?? 0, body: '', socket: socket as Socket});
	});
	outgoing.on('response', response => {
		let body = '';
		response.on('data', (chunk: Buffer) => (body += chunk.toString()));
		response.on('end', () => resolve({statusCode: response.statusCode ?? 0, body, socket: null}));
	});
	outgoing.on('error', reject);
	outgoing.end();
	return await promise;
}

/** A WebSocket frame of a client (RFC 6455, 5.2), masked with zeros or not at all. @param length What it says it has. */
function frame(first: number, data: Buffer, {masked = true, length = data.length} = {}): Buffer {
	const head = Buffer.alloc(10);
	head[0] = first;
	head[1] = (masked ? 0x80 : 0) | 127;
	head.writeBigUInt64BE(BigInt(length), 2);
	return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0), data]);
}

/** A control frame of SPDY. */
function control(type: number, ...parts: readonly Buffer[]): Buffer {
	const body = Buffer.concat(parts);
	const head = Buffer.from([0x80, 3, 0, type, 0, 0, 0, 0]);
	head.writeUIntBE(body.length, 5, 3);
	return Buffer.concat([head, body]);
}

function uint32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(value);
	return bytes;
}

interface Target {
	readonly pod: Pod;
	readonly id: string;
	/** A new URL. */
	readonly url: (tty?: boolean, cmd?: readonly string[]) => Promise<string>;
}

async function makeTarget(name: string): Promise<Target> {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPod(daemon, name);
	const id = await runContainer(cri, pod, toContainerConfig('main', ['sleep', '600'], {stop_signal: 9}));
	const url = async (tty = false, cmd: readonly string[] = ['cat']): Promise<string> =>
		(await cri.call('Exec', {container_id: id, cmd: [...cmd], tty, stdin: true, stdout: true, stderr: !tty})).url;
	return {pod, id, url};
}

/** Resident memory of the daemon. */
async function memoryBytes(): Promise<number> {
	const status = await readFile(`/proc/${running().daemon.pid()}/status`, 'utf8');
	return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

async function assertServes(t: ExecutionContext, {id}: Target): Promise<void> {
	const {stdout} = await running().daemon.cri.call('ExecSync', {container_id: id, cmd: ['echo', 'served']});
	t.is(Buffer.from(stdout).toString(), 'served\n');
}

test.serial('a token that is wrong, used, of another kind, or none at all is 404; an upgrade to nothing that is spoken says what is', async t => {
	const target = await makeTarget('tokens');
	const url = await target.url();
	const wrong = url.slice(0, -1) + (url.endsWith('A') ? 'B' : 'A');
	for (const headers of [v5, spdy]) {
		t.like(await present(wrong, headers), {statusCode: 404, body: 'no such session, or it was used or has expired\n'});
		t.is((await present(url.replace('/exec/', '/attach/').replace(/[^/]*$/, 'x'.repeat(43)), headers)).statusCode, 404);
		t.is((await present(`${new URL(url).origin}/exec/`, headers)).statusCode, 404);
		t.is((await present(`${new URL(url).origin}/${'x'.repeat(8000)}`, headers)).statusCode, 404);
	}
	const unknown = await present(url, {...websocket, 'Sec-WebSocket-Protocol': 'v9.channel.k8s.io'});
	t.is(unknown.statusCode, 403);
	t.regex(unknown.body, /none of "v9\.channel\.k8s\.io" is supported; known are v5\.channel\.k8s\.io/);
	t.regex((await present(url, {...spdy, 'X-Stream-Protocol-Version': 'v9.channel.k8s.io'})).body, /none of "v9\.channel\.k8s\.io" is supported/);
	t.like(await present(url, {}), {statusCode: 400, body: 'an upgrade to SPDY/3.1 or WebSocket is required\n'});
	t.is((await present(url, {Connection: 'Upgrade', Upgrade: 'h2c'})).statusCode, 400);
	// None of these has spent it.
	const {socket, statusCode} = await present(url, v5);
	t.is(statusCode, 101);
	socket?.destroy();
	t.is((await present(url, v5)).statusCode, 404);
	await assertServes(t, target);
	await removePod(running().daemon.cri, target.pod);
});

const DICTIONARY_ID = Buffer.from([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2]);
/** What each must leave in the log. */
const hostile: readonly (readonly [string, Readonly<Record<string, string>>, RegExp, Buffer])[] = [
	[
		'SPDY: a bomb of headers',
		spdy,
		/header block: /,
		control(1, uint32(1), uint32(0), Buffer.alloc(2), DICTIONARY_ID, deflateSync(Buffer.alloc(20 * MIB)).subarray(2)),
	],
	['SPDY: a control frame of 16 MiB', spdy, /control frame of 16777215 bytes/, Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff])],
	['SPDY: another version', spdy, /SPDY version 2/, Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 10])],
	['SPDY: an even stream', spdy, /header block|stream id 2/, control(1, uint32(2), uint32(0), Buffer.alloc(2), Buffer.from('no headers'))],
	['WebSocket: no mask', v5, /MASK must be set/, frame(0x82, Buffer.from([0, 1]), {masked: false})],
	['WebSocket: a frame of a terabyte', v5, /Max payload size exceeded/, frame(0x82, Buffer.from([0]), {length: 2 ** 40})],
	[
		'WebSocket: fragments of 64 MiB',
		v5,
		/Max payload size exceeded/,
		Buffer.concat([frame(0x02, Buffer.alloc(8 * MIB)), ...Array.from({length: 7}, () => frame(0x00, Buffer.alloc(8 * MIB)))]),
	],
	['WebSocket: a close signal for nothing', v5, /close signal \[200\]/, frame(0x82, Buffer.from([255, 200]))],
];

test.serial('clients that follow no protocol are cut off one by one, the log says why, and the daemon serves on in bounded memory', async t => {
	const target = await makeTarget('hostile');
	const {daemon} = running();
	const before = await memoryBytes();
	for (const [what, headers, reason, bytes] of hostile) {
		const logged = (await daemon.log()).length;
		const {socket, statusCode} = await present(await target.url(), headers);
		t.is(statusCode, 101, what);
		socket?.resume();
		socket?.write(bytes);
		if (socket !== null && !socket.destroyed) await once(socket, 'close');
		await until(
			`the log says why: ${what}`,
			async () => (await daemon.log()).slice(logged),
			text => text.split('\n').some(line => line.includes('cut off') && reason.test(line)),
		);
		await assertServes(t, target);
	}
	const grown = (await memoryBytes()) - before;
	t.true(grown < 160 * MIB, `grew by ${grown} bytes`);
	await removePod(daemon.cri, target.pod);
});

test.serial('garbage where a size should be changes no size and ends no session', async t => {
	const target = await makeTarget('sizes');
	const {socket} = await present(await target.url(true, ['sh']), v5);
	let output = '';
	socket?.on('data', (chunk: Buffer) => (output += chunk.toString('latin1')));
	const send = (channel: number, data: string | Buffer): void =>
		void socket?.write(frame(0x82, Buffer.concat([Buffer.from([channel]), Buffer.from(data as string)])));
	send(4, '{"Width":91,"Height":31}');
	for (const garbage of ['}{', '{"Width":-1,"Height":1e99}', '[]', 'null}', '{"Width":70000,"Height":70000}', '{"Width":', '\u0000\u00ff'.repeat(100_000)])
		send(4, garbage);
	send(4, Buffer.alloc(MIB, 0x7b));
	send(0, 'sleep 1; echo size:$(stty size):\n');
	await until(
		'the terminal answers',
		async () => output,
		text => /size:\d+ \d+:/.test(text),
	);
	t.regex(output, /size:31 91:/);
	socket?.destroy();
	await assertServes(t, target);
	await removePod(running().daemon.cri, target.pod);
});

test.serial('a thousand connections that say nothing, or not all, keep nobody out and are closed after a while', async t => {
	const target = await makeTarget('silent');
	const {port, pathname} = new URL(await target.url());
	const before = await memoryBytes();
	const sockets: Socket[] = [];
	t.teardown(() => {
		for (const socket of sockets) socket.destroy();
	});
	for (let round = 0; round < 10; round++) {
		const some = Array.from({length: 100}, () => connectSocket(Number(port), '127.0.0.1').on('error', () => {}));
		sockets.push(...some);
		await Promise.all(some.map(socket => once(socket, 'connect')));
		for (const [index, socket] of some.entries()) {
			socket.resume();
			if (index % 2 === 0) socket.write(`GET ${pathname} HTTP/1.1\r\nHost: x\r\nUpgrade: webso`);
		}
	}
	const {socket, statusCode} = await present(await target.url(), v5);
	t.is(statusCode, 101, 'served among them');
	socket?.destroy();
	t.true((await memoryBytes()) - before < 100 * MIB);
	await until(
		'all are closed',
		async () => sockets.filter(({destroyed}) => !destroyed).length,
		open => open === 0,
		60_000,
	);
	await assertServes(t, target);
	await removePod(running().daemon.cri, target.pod);
});
