import {get} from 'node:http';
import {stat} from 'node:fs/promises';
import {text} from 'node:stream/consumers';
import test from 'ava';
import {silentLog} from '../base/log.js';
import {temporaryDirectory} from './fake-daemon.js';
import {openMetricsEndpoint} from './metrics-endpoint.js';

const filesystem = {mountpoint: '/r', bytes: 4096, inodes: 2};
const images = {
	metrics: () => ({pulls: {succeeded: 3, failed: 1, cancelled: 0}, pulledBytes: 1234, pullsInFlight: 2, repairs: 0, incompleteImages: 1}),
	fsInfo: () => ({imageFs: filesystem, containerFs: {...filesystem, bytes: 77}}),
	list: () => [],
};

test('openMetricsEndpoint serves what the store says at the time of asking', async t => {
	const endpoint = await openMetricsEndpoint({address: '127.0.0.1:0'}, images, silentLog);
	t.teardown(() => endpoint.close());
	for (let i = 0; i < 2; i++) {
		const body = await (await fetch(endpoint.url)).text();
		t.regex(body, /^berth_image_pulls_total\{outcome="succeeded"\} 3$/m);
		t.regex(body, /^berth_image_pulls_total\{outcome="failed"\} 1$/m);
		t.regex(body, /^berth_image_pulled_bytes_total 1234$/m);
		t.regex(body, /^berth_image_pulls_in_flight 2$/m);
		t.regex(body, /^berth_image_bytes 4096$/m);
		t.regex(body, /^berth_container_layer_bytes 77$/m);
	}
	t.is((await fetch(new URL('/else', endpoint.url))).status, 404);
});

test("openMetricsEndpoint on a unix socket: 0660, and a dead daemon's socket is replaced", async t => {
	const path = `${await temporaryDirectory(t)}/metrics.sock`;
	const first = await openMetricsEndpoint({address: `unix:${path}`}, images, silentLog);
	t.teardown(() => first.close());
	const second = await openMetricsEndpoint({address: `unix:${path}`}, images, silentLog);
	t.teardown(() => second.close());
	t.is((await stat(path)).mode & 0o777, 0o660);
	const body = await new Promise<string>((resolve, reject) => {
		get({socketPath: path, path: '/metrics'}, response => void text(response).then(resolve, reject)).on('error', reject);
	});
	t.regex(body, /^berth_images 0$/m);
});

test('openMetricsEndpoint without an address is none', async t => {
	const endpoint = await openMetricsEndpoint({address: ''}, images, silentLog);
	t.is(endpoint.url, '');
	await endpoint.close();
});
