import {once} from 'node:events';
import {createServer, type IncomingHttpHeaders, type IncomingMessage, type RequestListener, type ServerResponse} from 'node:http';
import {createServer as createTlsServer, type ServerOptions} from 'node:https';
import {mkdtemp, rm} from 'node:fs/promises';
import {createHash} from 'node:crypto';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {systemClock} from '../../base/clock.js';
import type {ProgramRequest, ProgramResult} from '../../native/native.js';
import type {ImageOptions} from '../image.js';
import type {Descriptor} from '../manifest.js';
import type {RegistryParts} from './repository.js';

export interface Seen {
	readonly method: string;
	readonly url: string;
	readonly headers: IncomingHttpHeaders;
	readonly body: string;
	readonly atMs: number;
}
export interface FakeServer {
	/** "127.0.0.1:<port>" */
	readonly host: string;
	readonly url: string;
	/** In the order in which they ended. */
	readonly seen: readonly Seen[];
	/** Connections that were ever made. */
	connections(): number;
	/** Stops listening and cuts all connections. */
	close(): Promise<void>;
}
type Teardown = {teardown(work: () => Promise<void>): void};
/** `index` counts the server's requests from 0. */
export type Answer = (request: Seen, response: ServerResponse, index: number) => void;

/** For tests: a server on loopback that answers as told. Bodies of requests are read whole before. */
export async function openServer(t: Teardown, answer: Answer, tls: ServerOptions | null = null): Promise<FakeServer> {
	const seen: Seen[] = [];
	const listener: RequestListener = (request, response) => {
		void readAll(request).then(body => {
			const entry = {method: request.method ?? '', url: request.url ?? '', headers: request.headers, body, atMs: systemClock.monotonicMs()};
			seen.push(entry);
			answer(entry, response, seen.length - 1);
		});
	};
	const server = tls === null ? createServer(listener) : createTlsServer(tls, listener);
	let connections = 0;
	server.on('connection', () => connections++);
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const close = async (): Promise<void> => {
		if (!server.listening) return;
		const closed = once(server, 'close');
		server.close();
		server.closeAllConnections();
		await closed;
	};
	t.teardown(close);
	const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	return {host, url: `${tls === null ? 'http' : 'https'}://${host}`, seen, connections: () => connections, close};
}

async function readAll(request: IncomingMessage): Promise<string> {
	const pieces: Buffer[] = [];
	try {
		for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
	} catch {
		// The client went away: what came is all there is.
	}
	return Buffer.concat(pieces).toString('latin1');
}

/** Nobody listens on the port of tcpmux. */
export const DEAD_HOST = '127.0.0.1:1';

export async function temporaryDirectory(t: Teardown): Promise<string> {
	const path = await mkdtemp(join(tmpdir(), 'berth-registry-'));
	t.teardown(() => rm(path, {recursive: true, force: true}));
	return path;
}

/** Parts of a store; `own` talks plain http, as do all registries of `plain`. */
export function toParts(changes: Partial<ImageOptions>, runProgram?: (request: ProgramRequest) => Promise<ProgramResult>): RegistryParts {
	const options: ImageOptions = {
		rootDir: '/nowhere',
		registries: {},
		registryConfigDir: '/nowhere/certs.d',
		authFiles: [],
		credentialHelperDirs: [],
		proxy: {http: null, https: null, noProxy: ''},
		maxConcurrentDownloads: 4,
		maxLayerBytes: 1 << 30,
		maxLayerInodes: 1000,
		stallTimeoutMs: 20_000,
		minDownloadBytesPerSecond: 1024,
		policyFile: null,
		keepBlobs: false,
		pinnedImages: [],
		platform: {os: 'linux', architecture: 'amd64', variant: null},
		...changes,
	};
	return {options, kernel: {runProgram: runProgram ?? (() => Promise.reject(new Error('no program is to be run')))}};
}

/** image.registries for a registry of plain http, with mirrors in front of it. */
export function plain(host: string, mirrors: readonly string[] = []): ImageOptions['registries'] {
	return {[host]: {mirrors, plainHttp: true, insecureSkipVerify: false, caFile: null}};
}

export function sha256(bytes: Uint8Array): string {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function toDescriptor(bytes: Uint8Array): Descriptor {
	return {mediaType: 'application/octet-stream', digest: sha256(bytes), size: bytes.length};
}

export function json(response: ServerResponse, status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
	response.writeHead(status, {'content-type': 'application/json', ...headers}).end(JSON.stringify(value));
}

/** GET of `bytes` with Range, as a registry or its storage answers it. */
export function sendRange(request: Seen, response: ServerResponse, bytes: Uint8Array): void {
	const found = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
	if (found === null) return void response.writeHead(200, {'content-length': bytes.length}).end(bytes);
	const start = Number(found[1]);
	const end = found[2] === '' ? bytes.length : Math.min(Number(found[2]) + 1, bytes.length);
	response.writeHead(206, {'content-length': end - start, 'content-range': `bytes ${start}-${end - 1}/${bytes.length}`}).end(bytes.subarray(start, end));
}

export async function collectAll(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
	const pieces: Uint8Array[] = [];
	for await (const piece of body) pieces.push(piece);
	return Buffer.concat(pieces);
}
