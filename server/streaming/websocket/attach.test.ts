import {once} from 'node:events';
import {text} from 'node:stream/consumers';
import test, {type ExecutionContext} from 'ava';
import {silentLog} from '../../../base/log.js';
import {fakeAttachment} from '../fake-client.js';
import {openStreamingServer, type StreamedAttach} from '../server.js';
import {connectWebSocket, Opcode} from './fake-client.js';

const plain: StreamedAttach = {containerId: 'c1', stdinOnce: false, tty: false, stdin: true, stdout: true, stderr: true};
const [STDIN, STDOUT, STDERR, ERROR, RESIZE] = [0, 1, 2, 3, 4] as const;

async function attached(t: ExecutionContext, request: Partial<StreamedAttach> = {}, subprotocols = 'v5.channel.k8s.io') {
	const wanted = {...plain, ...request};
	const server = await openStreamingServer({address: '127.0.0.1', port: 0, tls: null}, silentLog);
	t.teardown(async () => await server.close());
	const container = fakeAttachment({...wanted, hasStdin: true});
	const {client} = await connectWebSocket(
		server.attachUrl(wanted, async () => container.session),
		subprotocols,
	);
	return {client: client!, container};
}

test('input and outputs, until the container ends: the session was a success and ends normally', async t => {
	const {client, container} = await attached(t);
	client.write(STDIN, 'typed');
	t.is(String((await once(container.input!, 'data'))[0]), 'typed');
	container.stdout.write('out');
	container.stderr.write('err');
	container.end();
	await client.closed;
	t.is(client.text(STDOUT), 'out');
	t.is(client.text(STDERR), 'err');
	t.deepEqual(JSON.parse(client.text(ERROR)), {metadata: {}, status: 'Success'});
	t.like(client.close, {code: 1000});
	t.deepEqual(container.done, []);
});

test("with stdinOnce a half-close is the end of the container's input, and output still comes", async t => {
	const {client, container} = await attached(t, {stdinOnce: true});
	client.write(STDIN, 'last words');
	client.send({opcode: Opcode.BINARY, data: Buffer.from([255, STDIN])});
	t.is(await text(container.input!), 'last words');
	container.stdout.write('later');
	await client.until(() => client.text(STDOUT) === 'later');
	t.true(container.done.includes('close stdin'));
	container.end();
	await client.closed;
	t.regex(client.text(ERROR), /Success/);
});

test('a client that goes leaves the container running', async t => {
	const {client, container} = await attached(t, {}, 'v4.channel.k8s.io');
	client.write(STDIN, 'x');
	await once(container.input!, 'data');
	client.socket.destroy();
	await container.left;
	t.deepEqual(container.done, ['detach']);
});

test("a terminal's size reaches the container", async t => {
	const {client, container} = await attached(t, {tty: true, stderr: false});
	client.write(RESIZE, '{"Width":120,"Height":40}');
	client.write(STDIN, 'x');
	await once(container.input!, 'data');
	t.deepEqual(container.done, ['resize 120x40']);
	container.end();
	await client.closed;
});
