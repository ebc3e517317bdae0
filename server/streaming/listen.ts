import {once} from 'node:events';
import {readFile, stat} from 'node:fs/promises';
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
	/** Emitted with each socket that may send a request. */
	readonly readyEvent: 'connection' | 'secureConnection';
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
	return {http, base, readyEvent: tls === null ? 'connection' : 'secureConnection', stop: () => stopped.abort()};
}

interface Reloading {
	readonly log: Logger;
	readonly reloadIntervalMs: number;
	readonly stopped: AbortSignal;
}

async function createSecure(options: TlsOptions, reloading: Reloading): Promise<TlsServer> {
	const settings = {...HTTP, ...(await readCertificates(options)), requestCert: options.clientCaFile !== null, rejectUnauthorized: true};
	const server = createTlsServer({...settings, handshakeTimeout: HEAD_TIMEOUT_MS}, (request, response) => refusePlain(request, response));
	void reload(server, options, reloading);
	return server;
}

interface Certificates {
	readonly cert: string;
	readonly key: string;
	readonly ca?: string;
}

async function readCertificates({certFile, keyFile, clientCaFile}: TlsOptions): Promise<Certificates> {
	const cert = await readPem('tls_cert_file', certFile);
	const key = await readPem('tls_key_file', keyFile);
	const certificates = clientCaFile === null ? {cert, key} : {cert, key, ca: await readPem('tls_client_ca_file', clientCaFile)};
	try {
		createSecureContext(certificates);
	} catch (cause) {
		throw new InvalidArgumentError(`streaming: ${certFile} and ${keyFile} are no certificate with its key: ${(cause as Error).message}`, {}, {cause});
	}
	return certificates;
}

async function readPem(field: string, path: string): Promise<string> {
	try {
		return await readFile(path, 'utf8');
	} catch (cause) {
		throw new InvalidArgumentError(`streaming.${field}: ${(cause as Error).message}`, {field}, {cause});
	}
}

/** Certificates are renewed beneath a daemon that runs for months. What cannot be used leaves the old one in place. */
async function reload(server: TlsServer, options: TlsOptions, {log, reloadIntervalMs, stopped}: Reloading): Promise<void> {
	let last = await fingerprint(options);
	for (;;) {
		await systemClock.sleep(reloadIntervalMs, stopped);
		if (stopped.aborted) return;
		const now = await fingerprint(options);
		if (now === last) continue;
		last = now;
		try {
			server.setSecureContext(await readCertificates(options));
			log.info({}, 'streaming: new certificate in use');
		} catch (err) {
			log.error({err}, 'streaming: new certificate not usable; the one before stays in use');
		}
	}
}

async function fingerprint({certFile, keyFile, clientCaFile}: TlsOptions): Promise<string> {
	const known = [certFile, keyFile, ...(clientCaFile === null ? [] : [clientCaFile])].map(path =>
		stat(path, {bigint: true}).then(
			({ino, mtimeNs}) => `${ino}:${mtimeNs}`,
			() => 'none',
		),
	);
	return (await Promise.all(known)).join();
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
