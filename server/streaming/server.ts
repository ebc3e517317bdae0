import {once} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import type {Logger} from '../../base/log.js';
import type {ExecSession} from '../../native/native.js';
import {CHANNEL_VERSIONS, type ChannelVersion, expectedStreams} from './channels.js';
import {serveExec} from './exec.js';
import {type Dial, PORT_FORWARD_VERSIONS, servePortForward} from './port-forward.js';
import {collectStreams} from './session.js';
import {SpdyConnection, type SpdyLimits} from './spdy/connection.js';
import {TokenTable} from './token.js';
import {acceptUpgrade, negotiate, refuseUpgrade} from './upgrade.js';

/** Filled by server/config.ts. */
export interface StreamingOptions {
	/** Loopback: the kubelet relays to it, and whoever has a URL may run the command. */
	readonly address: string;
	/** 0 = any free one. */
	readonly port: number;
}

export interface StreamedExec {
	readonly containerId: string;
	readonly command: readonly string[];
	readonly tty: boolean;
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
}

export interface StreamingServer {
	/**
	 * A URL that runs the command once, within a minute. `open` is called when a client presents it and has opened its streams.
	 *
	 * @throws {ResourceExhaustedError} too many URLs were asked for and not used.
	 */
	execUrl(request: StreamedExec, open: () => Promise<ExecSession>): string;
	/** A URL over which one client, within a minute, may connect to ports of the pod sandbox. `dial` is called for each connection. */
	portForwardUrl(sandboxId: string, dial: Dial): string;
	/** Ends all sessions. */
	close(): Promise<void>;
}

/** What a token stands for. Attach becomes a further kind. */
type Pending =
	| {readonly kind: 'exec'; readonly request: StreamedExec; readonly open: () => Promise<ExecSession>}
	| {readonly kind: 'portforward'; readonly sandboxId: string; readonly dial: Dial};

/** A client that connects must send its request, and then open its streams, within these. */
const HEAD_TIMEOUT_MS = 10_000;
const STREAMS_TIMEOUT_MS = 30_000;
/** Idle time as in the kubelet's streamingConnectionIdleTimeout. */
const LIMITS: SpdyLimits = {maxStreams: 16, pingIntervalMs: 30_000, idleTimeoutMs: 4 * 3_600_000};
/** Two for each forwarded connection: a browser opens many at once. */
const MAX_PORT_FORWARD_STREAMS = 512;

/** For tests: the times that a client has. */
export interface StreamingTimes {
	readonly streamsTimeoutMs: number;
	readonly limits: SpdyLimits;
}

/** Serves exec and port-forward over HTTP with SPDY/3.1 upgrade. Resolves when it listens. */
export async function openStreamingServer(
	options: StreamingOptions,
	log: Logger,
	times: StreamingTimes = {streamsTimeoutMs: STREAMS_TIMEOUT_MS, limits: LIMITS},
): Promise<StreamingServer> {
	const pending = new TokenTable<Pending>();
	const connections = new Set<SpdyConnection>();
	const http = createServer({requestTimeout: HEAD_TIMEOUT_MS, headersTimeout: HEAD_TIMEOUT_MS, keepAliveTimeout: HEAD_TIMEOUT_MS}, refusePlain);
	http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
		socket.on('error', () => socket.destroy());
		const found = findPending(pending, request, socket);
		if (found === null) return;
		const limits = found.pending.kind === 'exec' ? times.limits : {...times.limits, maxStreams: MAX_PORT_FORWARD_STREAMS};
		const connection = new SpdyConnection(socket as Socket, head, limits);
		connections.add(connection);
		connection.once('close', () => connections.delete(connection));
		void runSession({connection, ...found, log, streamsTimeoutMs: times.streamsTimeoutMs});
	});
	const base = await listen(http, options);
	return {
		execUrl: (request, open) => `${base}/exec/${pending.put({kind: 'exec', request, open})}`,
		portForwardUrl: (sandboxId, dial) => `${base}/portforward/${pending.put({kind: 'portforward', sandboxId, dial})}`,
		async close() {
			const closed = once(http, 'close');
			http.close();
			http.closeAllConnections();
			for (const connection of connections) connection.destroy();
			await closed;
		},
	};
}

/** The protocol version goes with the kind of session. */
type Found =
	| {readonly pending: Extract<Pending, {kind: 'exec'}>; readonly version: ChannelVersion}
	| {readonly pending: Extract<Pending, {kind: 'portforward'}>; readonly version: (typeof PORT_FORWARD_VERSIONS)[number]};

/** Answers the request: 101 and what it is for, or the refusal and null. The token is spent only by a client that can speak to us. */
function findPending(table: TokenTable<Pending>, request: IncomingMessage, socket: Duplex): Found | null {
	const [, kind = '', token = ''] = /^\/(exec|portforward)\/([\w-]{1,64})$/.exec(request.url ?? '') ?? [];
	const versions: readonly string[] = kind === 'portforward' ? PORT_FORWARD_VERSIONS : CHANNEL_VERSIONS;
	const offer = negotiate(request, versions);
	if (!('version' in offer)) return refuse(socket, offer);
	if (token === '' || (request.method !== 'GET' && request.method !== 'POST')) return refuse(socket, {statusCode: 404, message: 'no such session'});
	const found = table.take(token);
	if (found === null || found.kind !== kind) return refuse(socket, {statusCode: 404, message: 'no such session, or it was used or has expired'});
	acceptUpgrade(socket, offer.version);
	return {pending: found, version: offer.version} as Found;
}

function refuse(socket: Duplex, refusal: Parameters<typeof refuseUpgrade>[1]): null {
	refuseUpgrade(socket, refusal);
	return null;
}

/** A request without upgrade. */
function refusePlain(request: IncomingMessage, response: ServerResponse): void {
	request.resume();
	response.writeHead(400, {'Content-Type': 'text/plain; charset=utf-8', Connection: 'close'});
	response.end('an upgrade to SPDY/3.1 is required\n');
}

interface Running {
	readonly connection: SpdyConnection;
	readonly log: Logger;
	readonly streamsTimeoutMs: number;
}

async function runSession(session: Found & Running): Promise<void> {
	if (session.pending.kind === 'exec') return await runExec(session as Running & Extract<Found, {version: ChannelVersion}>);
	const {pending, connection, log, streamsTimeoutMs} = session;
	await servePortForward({sandboxId: pending.sandboxId, dial: pending.dial, connection, log, pairTimeoutMs: streamsTimeoutMs});
	return undefined;
}

async function runExec({connection, pending, version, log, streamsTimeoutMs}: Running & Extract<Found, {version: ChannelVersion}>): Promise<void> {
	const {containerId} = pending.request;
	try {
		const streams = await collectStreams(connection, expectedStreams(version, pending.request), streamsTimeoutMs);
		const outcome = await serveExec({version, streams, closed: connection.closed}, pending.open);
		log.debug({containerId, ...outcome}, 'exec session ended');
	} catch (err) {
		log.warn({err, containerId}, 'exec session failed');
	} finally {
		connection.end();
	}
}

async function listen(http: Server, {address, port}: StreamingOptions): Promise<string> {
	http.listen(port, address);
	await once(http, 'listening');
	const bound = http.address() as AddressInfo;
	return `http://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`;
}
