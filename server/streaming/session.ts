import type {Duplex} from 'node:stream';
import {createWebSocketStream, type WebSocket} from 'ws';
import type {Logger} from '../../base/log.js';
import {CHANNEL_VERSIONS, type ChannelVersion, type Channels, expectedStreams, type Outcome, type WantedStreams} from './channels.js';
import {type Dial, type ForwardClient, servePortForward} from './port-forward.js';
import {collectStreams} from './spdy/collect.js';
import {SpdyConnection, type SpdyLimits} from './spdy/connection.js';
import {PORT_FORWARD_VERSIONS, spdyForwardClient} from './spdy/pairs.js';
import type {Spoken} from './upgrade.js';
import type {WebSocketConnection} from './websocket/connection.js';
import {COMMAND_PROTOCOLS, FORWARD_PROTOCOLS, TUNNEL_SUBPROTOCOL, type ChannelProtocol} from './websocket/protocols.js';
import {openCommandChannels, openForwardChannels} from './websocket/sessions.js';

interface PendingCommand {
	readonly kind: 'exec' | 'attach';
	readonly containerId: string;
	readonly wanted: WantedStreams;
	/** Never rejects. */
	readonly serve: (channels: Channels) => Promise<Outcome>;
}
interface PendingForward {
	readonly kind: 'portforward';
	readonly sandboxId: string;
	readonly ports: readonly number[];
	readonly dial: Dial;
}
/** What a token stands for. */
export type Pending = PendingCommand | PendingForward;

/** What each kind of session can be carried by. */
export const SPOKEN: Readonly<Record<Pending['kind'], Spoken>> = {
	exec: {spdy: CHANNEL_VERSIONS, websocket: COMMAND_PROTOCOLS, tunnel: null},
	attach: {spdy: CHANNEL_VERSIONS, websocket: COMMAND_PROTOCOLS, tunnel: null},
	portforward: {spdy: PORT_FORWARD_VERSIONS, websocket: FORWARD_PROTOCOLS, tunnel: TUNNEL_SUBPROTOCOL},
};

/** A client after its upgrade. */
export type Upgraded =
	| {readonly transport: 'spdy'; readonly version: string; readonly socket: Duplex; readonly head: Buffer}
	| {readonly transport: 'tunnel'; readonly websocket: WebSocket}
	| {readonly transport: 'websocket'; readonly protocol: ChannelProtocol; readonly websocket: WebSocket};

export interface SessionChoices {
	readonly log: Logger;
	readonly times: {readonly streamsTimeoutMs: number; readonly limits: SpdyLimits};
	/** Ends the session. */
	readonly closing: AbortSignal;
}

/** Two streams for each forwarded connection: a browser opens many at once. */
const MAX_PORT_FORWARD_STREAMS = 512;

/** Serves one client to its end. Never rejects. */
export async function runSession(upgraded: Upgraded, pending: Pending, choices: SessionChoices): Promise<void> {
	if (pending.kind === 'portforward') return await runForward(upgraded, pending, choices);
	return await runCommand(upgraded, pending, choices);
}

async function runCommand(upgraded: Upgraded, {kind, containerId, wanted, serve}: PendingCommand, choices: SessionChoices): Promise<void> {
	const {log, times} = choices;
	const {connection, open} = commandCarrier(upgraded, wanted, times);
	guard(connection, {containerId, kind}, choices);
	try {
		const outcome = await serve(await open());
		log.debug({containerId, kind, ...outcome}, 'session ended');
	} catch (err) {
		log.warn({err, containerId, kind}, 'session failed');
	} finally {
		connection.end();
	}
}

function commandCarrier(
	upgraded: Upgraded,
	wanted: WantedStreams,
	{limits, streamsTimeoutMs}: SessionChoices['times'],
): {readonly connection: SpdyConnection | WebSocketConnection; readonly open: () => Promise<Channels>} {
	if (upgraded.transport === 'websocket') {
		const {connection, channels} = openCommandChannels(upgraded.websocket, {protocol: upgraded.protocol, limits}, wanted);
		return {connection, open: async () => channels};
	}
	const connection = openSpdy(upgraded, limits);
	const version = (upgraded.transport === 'spdy' ? upgraded.version : CHANNEL_VERSIONS[0]) as ChannelVersion;
	const streams = collectStreams(connection, expectedStreams(version, wanted), streamsTimeoutMs);
	return {connection, open: async () => ({version, streams: await streams, closed: connection.closed})};
}

async function runForward(upgraded: Upgraded, {sandboxId, ports, dial}: PendingForward, choices: SessionChoices): Promise<void> {
	const {connection, client} = forwardCarrier(upgraded, ports, choices.times);
	guard(connection, {sandboxId, kind: 'portforward'}, choices);
	await servePortForward(client, {sandboxId, dial, log: choices.log});
}

function forwardCarrier(
	upgraded: Upgraded,
	ports: readonly number[],
	{limits, streamsTimeoutMs}: SessionChoices['times'],
): {readonly connection: SpdyConnection | WebSocketConnection; readonly client: ForwardClient} {
	if (upgraded.transport === 'websocket') return openForwardChannels(upgraded.websocket, {protocol: upgraded.protocol, limits}, ports);
	const connection = openSpdy(upgraded, {...limits, maxStreams: MAX_PORT_FORWARD_STREAMS});
	return {connection, client: spdyForwardClient(connection, streamsTimeoutMs)};
}

function openSpdy(upgraded: Exclude<Upgraded, {transport: 'websocket'}>, limits: SpdyLimits): SpdyConnection {
	if (upgraded.transport === 'spdy') return new SpdyConnection(upgraded.socket, upgraded.head, limits);
	const {websocket} = upgraded;
	const connection = new SpdyConnection(createWebSocketStream(websocket), Buffer.alloc(0), limits);
	// A stream that nobody reads does not see its end.
	websocket.once('close', () => connection.destroy());
	return connection;
}

/** What goes wrong on the wire is said; the daemon's end is the session's. */
function guard(connection: SpdyConnection | WebSocketConnection, facts: object, {log, closing}: SessionChoices): void {
	const end = (): void => connection.destroy();
	closing.addEventListener('abort', end, {once: true});
	connection.once('broken', (err: Error) => log.warn({err, ...facts}, 'streaming client cut off: what it sent follows no protocol'));
	connection.once('close', () => closing.removeEventListener('abort', end));
}
