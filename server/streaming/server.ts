import {once} from 'node:events';
import type {IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import type {Logger} from '../../base/log.js';
import type {AttachSession, ExecSession} from '../../native/native.js';
import {serveAttach} from './attach.js';
import type {Channels, Outcome, WantedStreams} from './channels.js';
import {serveExec} from './exec.js';
import {HalfOpenSockets} from './half-open.js';
import {openListener, type StreamingOptions} from './listen.js';
import type {Dial} from './port-forward.js';
import {runSession, type Pending, SPOKEN, type Upgraded} from './session.js';
import type {SpdyLimits} from './spdy/connection.js';
import {TokenTable} from './token.js';
import {acceptSpdy, negotiate, refuseUpgrade, type Offer, type Refusal} from './upgrade.js';
import {WebSocketAcceptor, type Upgrading} from './websocket/accept.js';

export interface StreamedExec extends WantedStreams {
	readonly containerId: string;
	readonly command: readonly string[];
}

export interface StreamedAttach extends WantedStreams {
	readonly containerId: string;
	readonly stdinOnce: boolean;
}

export interface StreamedPorts {
	readonly sandboxId: string;
	/** For WebSocket clients, which cannot name any; SPDY clients name them as they go. */
	readonly ports: readonly number[];
}

export interface StreamingServer {
	/**
	 * A URL that runs the command once, within a minute. `open` is called when a client presents it and has opened its streams.
	 *
	 * @throws {ResourceExhaustedError} too many URLs were asked for and not used.
	 */
	execUrl(request: StreamedExec, open: () => Promise<ExecSession>): string;
	/** A URL by which one client, within a minute, may attach to a container. `open` is called when it has opened its streams. */
	attachUrl(request: StreamedAttach, open: () => Promise<AttachSession>): string;
	/** A URL over which one client, within a minute, may connect to ports of the pod sandbox. `dial` is called for each connection. */
	portForwardUrl(request: StreamedPorts, dial: Dial): string;
	/** Ends all sessions. */
	close(): Promise<void>;
}

/** A client that connects must open its streams within this. */
const STREAMS_TIMEOUT_MS = 30_000;
/** Idle time as in the kubelet's streamingConnectionIdleTimeout. */
const LIMITS: SpdyLimits = {maxStreams: 16, pingIntervalMs: 30_000, idleTimeoutMs: 4 * 3_600_000};
/** Clients that have connected and not sent their request yet, nor finished their TLS handshake. */
const MAX_HALF_OPEN = 1024;
/** Two channels each, and base64 has a character per channel. */
const MAX_WEBSOCKET_PORTS = 32;

/** For tests: the times that a client has. */
export interface StreamingTimes {
	readonly streamsTimeoutMs: number;
	readonly limits: SpdyLimits;
}

/** Serves exec, attach and port-forward over HTTP with an upgrade to SPDY/3.1 or WebSocket. Resolves when it listens. */
export async function openStreamingServer(
	options: StreamingOptions,
	log: Logger,
	times: StreamingTimes = {streamsTimeoutMs: STREAMS_TIMEOUT_MS, limits: LIMITS},
): Promise<StreamingServer> {
	const pending = new TokenTable<Pending>();
	const {http, base, stop} = await openListener(options, log);
	const acceptor = new WebSocketAcceptor();
	const halfOpen = new HalfOpenSockets(MAX_HALF_OPEN);
	const closing = new AbortController();
	http.on('connection', (socket: Socket) => halfOpen.add(socket));
	http.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
		socket.on('error', () => socket.destroy());
		const found = findPending(pending, request);
		if ('statusCode' in found) {
			log.info({url: kindOf(request), statusCode: found.statusCode, message: found.message}, 'streaming request refused');
			return refuseUpgrade(socket, found);
		}
		halfOpen.release(socket);
		socket.setNoDelay(true);
		accept({request, socket, head}, found.offer, acceptor, upgraded => void runSession(upgraded, found.pending, {log, times, closing: closing.signal}));
	});
	return {
		execUrl: (request, open) => `${base}/exec/${pending.put(commandOf('exec', request, channels => serveExec(channels, open)))}`,
		attachUrl: ({stdinOnce, ...request}, open) =>
			`${base}/attach/${pending.put(commandOf('attach', request, channels => serveAttach(channels, {stdinOnce, open})))}`,
		portForwardUrl: ({sandboxId, ports}, dial) => `${base}/portforward/${pending.put({kind: 'portforward', sandboxId, ports, dial})}`,
		async close() {
			const closed = once(http, 'close');
			stop();
			http.close();
			http.closeAllConnections();
			halfOpen.closeAll();
			closing.abort();
			await closed;
		},
	};
}

type StreamedCommand = WantedStreams & {readonly containerId: string};

function commandOf(kind: 'exec' | 'attach', {containerId, ...wanted}: StreamedCommand, serve: (channels: Channels) => Promise<Outcome>): Pending {
	return {kind, containerId, wanted, serve};
}

interface Found {
	readonly pending: Pending;
	readonly offer: Offer;
}

/** The token is spent only by a client that can speak to us. */
function findPending(table: TokenTable<Pending>, request: IncomingMessage): Found | Refusal {
	const [, kind = '', token = ''] = /^\/([a-z]+)\/([\w-]{1,64})$/.exec(request.url ?? '') ?? [];
	const known = Object.hasOwn(SPOKEN, kind) ? SPOKEN[kind as Pending['kind']] : SPOKEN.exec;
	const offer = negotiate(request, known);
	if ('statusCode' in offer) return offer;
	if (token === '' || (request.method !== 'GET' && request.method !== 'POST')) return {statusCode: 404, message: 'no such session'};
	const pending = table.take(token);
	if (pending === null || pending.kind !== kind) return {statusCode: 404, message: 'no such session, or it was used or has expired'};
	if (pending.kind === 'portforward' && offer.transport === 'websocket' && (pending.ports.length === 0 || pending.ports.length > MAX_WEBSOCKET_PORTS))
		return {
			statusCode: 400,
			message: `unable to upgrade: PortForward must name 1 to ${MAX_WEBSOCKET_PORTS} ports for this protocol, it named ${pending.ports.length}`,
		};
	return {pending, offer};
}

/** Answers 101. */
function accept(upgrading: Upgrading, offer: Offer, acceptor: WebSocketAcceptor, use: (upgraded: Upgraded) => void): void {
	const {socket, head} = upgrading;
	switch (offer.transport) {
		case 'spdy':
			acceptSpdy(socket, offer.version);
			return use({transport: 'spdy', version: offer.version, socket, head});
		case 'tunnel':
			return acceptor.accept(upgrading, offer.subprotocol, websocket => use({transport: 'tunnel', websocket}));
		case 'websocket':
			return acceptor.accept(upgrading, offer.protocol.subprotocol, websocket => use({transport: 'websocket', protocol: offer.protocol, websocket}));
	}
}

/** For the log: the rest of the URL is a secret. */
function kindOf(request: IncomingMessage): string {
	return /^\/[a-z]{1,20}(?=\/)/.exec(request.url ?? '')?.[0] ?? '/';
}
