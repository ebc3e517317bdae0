import {STATUS_CODES, type IncomingMessage} from 'node:http';
import type {Duplex} from 'node:stream';
import type {ChannelProtocol} from './websocket/protocols.js';

/** Header by which client and server agree on the channel protocol over SPDY (k8s.io/streaming, httpstream). */
const VERSION_HEADER = 'X-Stream-Protocol-Version';
const ACCEPTED_HEADER = 'X-Accepted-Stream-Protocol-Versions';
const PROTOCOL_HEADER = 'Sec-WebSocket-Protocol';

/** Why a request is no session, as HTTP says it. */
export interface Refusal {
	readonly statusCode: number;
	readonly message: string;
	readonly headers?: readonly (readonly [string, string])[];
}

/** What a kind of session can be carried by, each best first. */
export interface Spoken {
	/** Values of X-Stream-Protocol-Version. */
	readonly spdy: readonly string[];
	readonly websocket: readonly ChannelProtocol[];
	/** The WebSocket subprotocol that carries SPDY's bytes with the first of `spdy`; null: none. */
	readonly tunnel: string | null;
}

/** What client and server agree on. */
export type Offer =
	| {readonly transport: 'spdy'; readonly version: string}
	| {readonly transport: 'tunnel'; readonly subprotocol: string}
	| {readonly transport: 'websocket'; readonly protocol: ChannelProtocol};

type Asked = Pick<IncomingMessage, 'headers' | 'method'>;

/** The best that both speak, or why the client is refused. */
export function negotiate(request: Asked, spoken: Spoken): Offer | Refusal {
	const upgrades = lowerTokens(request.headers.upgrade);
	if (lowerTokens(request.headers.connection).includes('upgrade')) {
		if (upgrades.includes('spdy/3.1')) return negotiateSpdy(request, spoken.spdy);
		if (upgrades.includes('websocket')) return negotiateWebSocket(request, spoken);
	}
	return {statusCode: 400, message: 'unable to upgrade: only "Upgrade: SPDY/3.1" and "Upgrade: websocket" are spoken here'};
}

function negotiateSpdy(request: Asked, versions: readonly string[]): Offer | Refusal {
	const offered = lowerTokens(request.headers[VERSION_HEADER.toLowerCase()]);
	if (offered.length === 0) return {statusCode: 400, message: `unable to upgrade: ${VERSION_HEADER} is required`};
	const version = versions.find(known => offered.includes(known));
	if (version !== undefined) return {transport: 'spdy', version};
	return {statusCode: 403, message: toUnsupported(offered, versions), headers: versions.map(name => [ACCEPTED_HEADER, name] as const)};
}

/** Checks the whole of the client's handshake (RFC 6455, 4.2.1), so that no token is spent on one that fails. */
function negotiateWebSocket({headers, method}: Asked, {websocket, tunnel}: Spoken): Offer | Refusal {
	if (method !== 'GET') return {statusCode: 405, message: 'unable to upgrade: a WebSocket begins with GET', headers: [['Allow', 'GET']]};
	const version = headers['sec-websocket-version'];
	if (version !== '13')
		return {
			statusCode: 400,
			message: `unable to upgrade: Sec-WebSocket-Version must be 13, is ${quote(version)}`,
			headers: [['Sec-WebSocket-Version', '13']],
		};
	if (!/^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? ''))
		return {statusCode: 400, message: 'unable to upgrade: Sec-WebSocket-Key must be 16 bytes of base64'};
	const offered = tokens(headers[PROTOCOL_HEADER.toLowerCase()]);
	if (tunnel !== null && offered.includes(tunnel)) return {transport: 'tunnel', subprotocol: tunnel};
	const protocol = websocket.find(({subprotocol}) => (subprotocol === '' ? offered.length === 0 : offered.includes(subprotocol)));
	if (protocol !== undefined) return {transport: 'websocket', protocol};
	const known = [...(tunnel === null ? [] : [tunnel]), ...websocket.map(({subprotocol}) => subprotocol).filter(name => name !== '')];
	return {statusCode: 403, message: toUnsupported(offered, known), headers: [[PROTOCOL_HEADER, known.join(', ')]]};
}

export function acceptSpdy(socket: Duplex, version: string): void {
	socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n${VERSION_HEADER}: ${version}\r\n\r\n`);
}

/** After an 'upgrade' event the socket is ours, so the answer is written by hand. */
export function refuseUpgrade(socket: Duplex, {statusCode, message, headers = []}: Refusal): void {
	const body = `${message}\n`;
	const lines = [
		`HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? ''}`,
		'Connection: close',
		'Content-Type: text/plain; charset=utf-8',
		`Content-Length: ${Buffer.byteLength(body)}`,
		...headers.map(([name, value]) => `${name}: ${value}`),
	];
	socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** A message goes into a body and a log: what the client sent is shown, but not at any length. */
function toUnsupported(offered: readonly string[], known: readonly string[]): string {
	return `unable to upgrade: none of ${quote(offered.join(', '))} is supported; known are ${known.join(', ')}`;
}

function quote(text: string | undefined): string {
	return JSON.stringify((text ?? '').slice(0, 200));
}

function tokens(header: string | string[] | undefined): readonly string[] {
	const text = Array.isArray(header) ? header.join(',') : (header ?? '');
	return text
		.split(',')
		.map(token => token.trim())
		.filter(token => token !== '');
}

function lowerTokens(header: string | string[] | undefined): readonly string[] {
	return tokens(header).map(token => token.toLowerCase());
}
