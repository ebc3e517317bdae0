import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import {chmod, rm} from 'node:fs/promises';
import {Counter, Gauge, Registry} from 'prom-client';
import type {Logger} from '../base/log.js';
import type {ImageStore} from '../image/image.js';

export interface MetricsOptions {
	/** "127.0.0.1:9180", "[::1]:9180" or "unix:/run/berth/metrics.sock"; '' = none. */
	readonly address: string;
}

export interface MetricsEndpoint {
	/** "http://127.0.0.1:9180/metrics"; '' when there is none. */
	readonly url: string;
	close(): Promise<void>;
}

/** Prometheus text over HTTP: GET /metrics. Values are read when they are asked for, so counting costs nothing. @throws the address cannot be listened on. */
export async function openMetricsEndpoint(
	{address}: MetricsOptions,
	images: Pick<ImageStore, 'metrics' | 'fsInfo' | 'list'>,
	log: Logger,
): Promise<MetricsEndpoint> {
	if (address === '') return {url: '', close: async () => {}};
	const registry = toRegistry(images);
	const server = createServer((request, response) => answer(registry, log, request, response));
	const url = await listen(server, address);
	return {url, close: async () => await close(server)};
}

function answer(registry: Registry, log: Logger, request: IncomingMessage, response: ServerResponse): void {
	if (request.url !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD')) {
		response.writeHead(404).end();
		return;
	}
	registry.metrics().then(
		text => void response.writeHead(200, {'content-type': registry.contentType}).end(text),
		(error: unknown) => {
			log.warn({err: error}, 'metrics not served');
			response.writeHead(500).end();
		},
	);
}

/** A socket left by a daemon that was killed is replaced: the daemon's lock says that no other one is alive. */
async function listen(server: Server, address: string): Promise<string> {
	const path = address.startsWith('unix:') ? address.slice('unix:'.length) : null;
	if (path !== null) await rm(path, {force: true});
	const [, host = '', port = '0'] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
	await new Promise<void>((resolve, reject) => {
		server.once('error', reject);
		server.listen(path === null ? {host, port: Number(port)} : {path}, resolve);
	});
	if (path !== null) await chmod(path, 0o660);
	const bound = server.address();
	return typeof bound === 'object' && bound !== null
		? `http://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}/metrics`
		: address;
}

async function close(server: Server): Promise<void> {
	await new Promise<void>(resolve => {
		server.close(() => resolve());
		server.closeAllConnections();
	});
}

function toRegistry(images: Pick<ImageStore, 'metrics' | 'fsInfo' | 'list'>): Registry {
	const registry = new Registry();
	const gauge = (name: string, help: string, value: () => number): void => {
		new Gauge({
			name,
			help,
			registers: [registry],
			collect() {
				this.set(value());
			},
		});
	};
	const counter = (name: string, help: string, value: () => number): void => {
		new Counter({
			name,
			help,
			registers: [registry],
			collect() {
				this.reset();
				this.inc(value());
			},
		});
	};
	new Counter({
		name: 'berth_image_pulls_total',
		help: 'Pulls that ended, by outcome.',
		labelNames: ['outcome'],
		registers: [registry],
		collect() {
			this.reset();
			for (const [outcome, count] of Object.entries(images.metrics().pulls)) this.inc({outcome}, count);
		},
	});
	counter('berth_image_pulled_bytes_total', 'Compressed bytes of layers received.', () => images.metrics().pulledBytes);
	counter('berth_image_repairs_total', 'Incomplete images repaired.', () => images.metrics().repairs);
	gauge('berth_image_pulls_in_flight', 'Pulls and loads under way.', () => images.metrics().pullsInFlight);
	gauge('berth_image_incomplete', 'Images that lack a layer and are being repaired.', () => images.metrics().incompleteImages);
	gauge('berth_images', 'Images that can be used.', () => images.list().length);
	gauge('berth_image_bytes', 'Disk use of layers and kept blobs.', () => images.fsInfo().imageFs.bytes);
	gauge('berth_image_inodes', 'Files of layers and kept blobs.', () => images.fsInfo().imageFs.inodes);
	gauge('berth_container_layer_bytes', 'Disk use of writable layers, as last counted.', () => images.fsInfo().containerFs.bytes);
	return registry;
}
