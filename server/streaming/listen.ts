import {hash, X509Certificate} from 'node:crypto';
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {createServer, type Server, type ServerOptions, type ServerResponse} from 'node:http';
import {createServer as createTlsServer, type Server as TlsServer} from 'node:https';
import {isIP, type AddressInfo} from 'node:net';
import {createSecureContext} from 'node:tls';
import {systemClock} from '../../base/clock.js';
import {InvalidArgumentError} from '../../base/errors.js';
import type {Logger} from '../../base/log.js';

/** Filled by server/options.ts. */
export interface StreamingOptions {
	/** Loopback: the kubelet relays to it, and whoever has a URL may run the command. */
	readonly address: string;
	/** 0 = any free one. */
	readonly port: number;
	/** null = plain HTTP. */
	readonly tls: TlsOptions | null;
}

/** PEM files, read anew when they change. */
export interface TlsOptions {
	readonly certFile: string;
	readonly keyFile: string;
	/** Authorities of which every client must have a certificate; null: clients need none. */
	readonly clientCaFile: string | null;
}

/** A client must send its request within this; looked after once a second. */
const HEAD_TIMEOUT_MS = 10_000;
/** Renewed certificates are seen this soon. */
const RELOAD_INTERVAL_MS = 10_000;

const HTTP: ServerOptions = {
	requestTimeout: HEAD_TIMEOUT_MS,
	headersTimeout: HEAD_TIMEOUT_MS,
	keepAliveTimeout: HEAD_TIMEOUT_MS,
	connectionsCheckingInterval: 1000,
};

export interface Listening {
	readonly http: Server | TlsServer;
	/** "http://127.0.0.1:4711" */
	readonly base: string;
	/** Ends what runs for the listener itself; not the server. */
	stop(): void;
}

/** A server that answers requests without upgrade itself. @throws {InvalidArgumentError} a certificate or key that cannot be used. */
export async function openListener(options: StreamingOptions, log: Logger, reloadIntervalMs = RELOAD_INTERVAL_MS): Promise<Listening> {
	const stopped = new AbortController();
	const {tls} = options;
	const http =
		tls === null
			? createServer(HTTP, (request, response) => refusePlain(request, response))
			: await createSecure(tls, {log, reloadIntervalMs, stopped: stopped.signal});
	http.listen(options.port, options.address);
	await once(http, 'listening');
	const {address, port} = http.address() as AddressInfo;
	if (!isLoopback(address) && (tls?.clientCaFile ?? null) === null)
		log.warn({address, port}, 'streams are served beyond loopback to whoever has a URL; streaming.tls_client_ca_file would ask for a certificate');
	const base = `${tls === null ? 'http' : 'https'}://${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
	return {http, base, stop: () => stopped.abort()};
}

interface Reloading {
	readonly log: Logger;
	readonly reloadIntervalMs: number;
	readonly stopped: AbortSignal;
}

async function createSecure(options: TlsOptions, reloading: Reloading): Promise<TlsServer> {
	const files = await readFiles(options);
	const settings = {...HTTP, ...toCertificates(options, files), requestCert: options.clientCaFile !== null, rejectUnauthorized: true};
	const server = createTlsServer({...settings, handshakeTimeout: HEAD_TIMEOUT_MS}, (request, response) => refusePlain(request, response));
	void reload(server, {options, files}, reloading);
	return server;
}

/** What a file holds, or why it cannot be read. */
type Pem = {readonly text: string} | {readonly error: Error};
type Files = Readonly<Record<'cert' | 'key' | 'ca', Pem | null>>;

async function readFiles({certFile, keyFile, clientCaFile}: TlsOptions): Promise<Files> {
	const [cert, key, ca] = await Promise.all([readPem(certFile), readPem(keyFile), clientCaFile === null ? null : readPem(clientCaFile)]);
	return {cert, key, ca};
}

async function readPem(path: string): Promise<Pem> {
	try {
		return {text: await readFile(path, 'utf8')};
	} catch (error) {
		return {error: error as Error};
	}
}

interface Certificates {
	readonly cert: string;
	readonly key: string;
	readonly ca?: string;
}

/** @throws {InvalidArgumentError} no certificate with its key, or no authority. */
function toCertificates({certFile, keyFile, clientCaFile}: TlsOptions, files: Files): Certificates {
	const pair = {cert: pemOf('tls_cert_file', files.cert), key: pemOf('tls_key_file', files.key)};
	try {
		createSecureContext(pair);
	} catch (cause) {
		throw new InvalidArgumentError(`streaming: ${certFile} and ${keyFile} are no certificate with its key: ${(cause as Error).message}`, {}, {cause});
	}
	if (clientCaFile === null) return pair;
	const ca = pemOf('tls_client_ca_file', files.ca);
	try {
		// A secure context passes over text without a certificate, and would then trust nobody.
		void new X509Certificate(ca);
	} catch (cause) {
		throw new InvalidArgumentError(`streaming.tls_client_ca_file: ${clientCaFile} holds no certificate: ${(cause as Error).message}`, {}, {cause});
	}
	return {...pair, ca};
}

/** Node takes an empty text for none given: the server would have no key, or trust the public authorities. A file is empty while it is written anew. */
function pemOf(field: string, pem: Pem | null): string {
	if (pem !== null && 'error' in pem) throw new InvalidArgumentError(`streaming.${field}: ${pem.error.message}`, {field}, {cause: pem.error});
	const text = pem?.text ?? '';
	if (text.trim() === '') throw new InvalidArgumentError(`streaming.${field}: the file is empty`, {field});
	return text;
}

/**
 * Certificates are renewed beneath a daemon that runs for months. What cannot be used leaves the old one in place. Contents are compared, not times: a file that is
 * read while it is written has the same time before and after, within a tick of the kernel's.
 */
async function reload(server: TlsServer, {options, files}: {readonly options: TlsOptions; readonly files: Files}, reloading: Reloading): Promise<void> {
	const {log, reloadIntervalMs, stopped} = reloading;
	let last = fingerprint(files);
	for (;;) {
		await systemClock.sleep(reloadIntervalMs, stopped);
		if (stopped.aborted) return;
		const read = await readFiles(options);
		const now = fingerprint(read);
		if (now === last) continue;
		last = now;
		try {
			server.setSecureContext(toCertificates(options, read));
			log.info({}, 'streaming: new certificate in use');
		} catch (err) {
			log.error({err}, 'streaming: new certificate not usable; the one before stays in use');
		}
	}
}

/** A digest: the key is not kept. */
function fingerprint({cert, key, ca}: Files): string {
	const contents = [cert, key, ca].map(pem => (pem === null ? null : 'text' in pem ? pem.text : [pem.error.message]));
	return hash('sha256', JSON.stringify(contents));
}

function isLoopback(address: string): boolean {
	return address.startsWith('127.') || address === '::1';
}

/** A request without upgrade. */
function refusePlain(request: {resume(): unknown}, response: ServerResponse): void {
	request.resume();
	response.writeHead(400, {'Content-Type': 'text/plain; charset=utf-8', Connection: 'close'});
	response.end('an upgrade to SPDY/3.1 or WebSocket is required\n');
}
