import {once} from 'node:events';
import {text} from 'node:stream/consumers';
import test, {type ExecutionContext} from 'ava';
import {silentLog} from '../../base/log.js';
import type {AttachSession} from '../../native/native.js';
import {connect, fakeAttachment, spdyHeaders} from './fake-client.js';
import {openStreamingServer, type StreamedAttach} from './server.js';
import {controlFrame, FrameType} from './spdy/frames.js';

const plain: StreamedAttach = {containerId: 'c1', stdinOnce: false, tty: false, stdin: true, stdout: true, stderr: true};
const times = {streamsTimeoutMs: 5000, limits: {maxStreams: 8, pingIntervalMs: 60_000, idleTimeoutMs: 60_000}};
const options = {address: '127.0.0.1', port: 0, tls: null};
const SUCCESS = {metadata: {}, status: 'Success'};

/** A client whose streams are open, and the attachment behind it. */
async function attached(t: ExecutionContext, request: Partial<StreamedAttach> = {}, {version = '', hasStdin = true} = {}) {
	const wanted = {...plain, ...request};
	const server = await openStreamingServer(options, silentLog, times);
	t.teardown(async () => await server.close());
	const container = fakeAttachment({...wanted, hasStdin});
	const url = server.attachUrl(wanted, async () => container.session);
	const {client} = await connect(url, version === '' ? spdyHeaders : {...spdyHeaders, 'X-Stream-Protocol-Version': version});
	const resizes = wanted.tty && (version === '' || version === 'v3.channel.k8s.io');
	const types = ['error', ...(wanted.stdin ? ['stdin'] : []), 'stdout', ...(wanted.tty ? [] : ['stderr']), ...(resizes ? ['resize'] : [])];
	const ids: Record<string, number> = {};
	for (const streamType of types) ids[streamType] = await client!.open({streamType});
	return {client: client!, container, ids};
}

test('input and outputs, until the container ends: every stream ends, and whatever its exit code, the session was a success', async t => {
	const {client, container, ids} = await attached(t);
	client.write(ids['stdin']!, 'typed');
	t.is(String((await once(container.input!, 'data'))[0]), 'typed');
	container.stdout.write('out');
	container.stderr.write('err');
	container.end();
	t.is(await client.text(ids['stdout']!), 'out');
	t.is(await client.text(ids['stderr']!), 'err');
	t.deepEqual(JSON.parse(await client.text(ids['error']!)), SUCCESS);
	t.deepEqual(container.done, []);
});

for (const version of ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io']) {
	test(`${version}: nothing missed is a success; what was skipped is told`, async t => {
		const well = await attached(t, {}, {version});
		well.container.end();
		const said = await well.client.text(well.ids['error']!);
		t.deepEqual(version === 'v4.channel.k8s.io' ? JSON.parse(said) : said, version === 'v4.channel.k8s.io' ? SUCCESS : '');
		const slow = await attached(t, {}, {version});
		slow.container.end(1234);
		t.regex(await slow.client.text(slow.ids['error']!), /the client read too slowly: 1234 bytes of output were skipped/);
	});
}

test('a terminal that was read slowly shows the latest: no failure', async t => {
	const {client, container, ids} = await attached(t, {tty: true, stderr: false});
	container.end(1234);
	t.deepEqual(JSON.parse(await client.text(ids['error']!)), SUCCESS);
});

test("without stdinOnce the end of the client's input is the end of its session: what it sent and what is there are delivered, the container goes on", async t => {
	const {client, container, ids} = await attached(t);
	const input = text(container.input!);
	container.stdout.write('there');
	client.write(ids['stdin']!, 'last words', true);
	t.is(await input, 'last words');
	t.is(await client.text(ids['stdout']!), 'there');
	t.deepEqual(JSON.parse(await client.text(ids['error']!)), SUCCESS);
	t.deepEqual(container.done, ['detach']);
});

test("with stdinOnce it is the end of the container's input, after what was sent, and output still comes", async t => {
	const {client, container, ids} = await attached(t, {stdinOnce: true});
	client.write(ids['stdin']!, Buffer.alloc(1_000_000, 'x'), true);
	t.is((await text(container.input!)).length, 1_000_000);
	container.stdout.write('later');
	container.end();
	t.is(await client.text(ids['stdout']!), 'later');
	t.deepEqual(container.done, ['close stdin']);
});

test('a terminal: sizes; its input has no end, so that of the client is the end of the session', async t => {
	const {client, container, ids} = await attached(t, {tty: true, stderr: false, stdinOnce: true});
	client.write(ids['resize']!, '{"Width":80,"Height":24}{"Width":"x"}{"Width":1,"Height":2}');
	client.write(ids['stdin']!, 'x');
	await once(container.input!, 'data');
	client.write(ids['stdin']!, '', true);
	await client.text(ids['error']!);
	t.deepEqual(container.done, ['resize 80x24', 'resize 1x2', 'detach']);
});

test('a client that goes is detached, nothing more', async t => {
	for (const stdinOnce of [false, true]) {
		const {client, container} = await attached(t, {stdinOnce});
		client.socket.destroy();
		await container.left;
		t.deepEqual(container.done, ['detach']);
	}
});

test('a container without stdin: what is sent goes nowhere, its end ends nothing, other streams are not held up', async t => {
	const {client, container, ids} = await attached(t, {}, {hasStdin: false});
	for (let index = 0; index < 10; index++) client.write(ids['stdin']!, Buffer.alloc(1_000_000), index === 9);
	client.socket.write(controlFrame(FrameType.PING, 0, 7));
	t.deepEqual(await client.until('ping'), {kind: 'ping', id: 7});
	container.stdout.write('out');
	container.end();
	t.is(await client.text(ids['stdout']!), 'out');
	t.deepEqual(container.done, []);
});

test('a stdin that is closed for all while this client still writes holds none of its streams up', async t => {
	const {client, container, ids} = await attached(t, {stdinOnce: true});
	client.write(ids['stdin']!, 'first');
	await once(container.input!, 'data');
	container.input!.destroy();
	for (let index = 0; index < 10; index++) client.write(ids['stdin']!, Buffer.alloc(1_000_000));
	client.socket.write(controlFrame(FrameType.PING, 0, 7));
	t.deepEqual(await client.until('ping'), {kind: 'ping', id: 7});
	container.end();
	t.deepEqual(JSON.parse(await client.text(ids['error']!)), SUCCESS);
});

test('a container that cannot be attached to is a failure with the reason; a lost monitor too', async t => {
	const server = await openStreamingServer(options, silentLog, times);
	t.teardown(async () => await server.close());
	const lost = {...fakeAttachment({tty: false, stdin: false, hasStdin: false}).session, ended: Promise.reject(new Error('the monitor is gone'))};
	const opens = [() => Promise.reject(new Error('container "c1" is exited')), async () => lost];
	for (const [open, reason] of [
		[opens[0]!, 'container "c1" is exited'],
		[opens[1]!, 'the monitor is gone'],
	] as const) {
		const {client} = await connect(server.attachUrl({...plain, stdin: false, stderr: false}, open));
		const error = await client!.open({streamType: 'error'});
		await client!.open({streamType: 'stdout'});
		t.like(JSON.parse(await client!.text(error)), {status: 'Failure', message: `Internal error occurred: error attaching to container: ${reason}`});
	}
});

test('a URL of attach is good once, and for attach only', async t => {
	const server = await openStreamingServer(options, silentLog, times);
	t.teardown(async () => await server.close());
	const open = async (): Promise<AttachSession> => fakeAttachment({tty: false, stdin: true, hasStdin: true}).session;
	t.is((await connect(server.attachUrl(plain, open).replace('/attach/', '/exec/'))).statusCode, 404);
	const url = server.attachUrl(plain, open);
	const first = await connect(url);
	t.is(first.statusCode, 101);
	t.is((await connect(url)).statusCode, 404);
	first.client?.socket.destroy();
});
