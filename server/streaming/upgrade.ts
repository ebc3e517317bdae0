import {STATUS_CODES, type IncomingMessage} from 'node:http';
import type {Duplex} from 'node:stream';

/** Header by which client and server agree on the channel protocol (k8s.io/streaming, httpstream). */
const VERSION_HEADER = 'X-Stream-Protocol-Version';
const ACCEPTED_HEADER = 'X-Accepted-Stream-Protocol-Versions';

/** Why a request is no session, as HTTP says it. */
export interface Refusal {
	readonly statusCode: number;
	readonly message: string;
	readonly headers?: readonly (readonly [string, string])[];
}

/** The best of our `versions` (best first) that the client offers, or why it is refused. */
export function negotiate<Version extends string>(
	request: Pick<IncomingMessage, 'headers'>,
	versions: readonly Version[],
): {readonly version: Version} | Refusal {
	if (!tokens(request.headers.connection).includes('upgrade') || !tokens(request.headers.upgrade).includes('spdy/3.1')) {
		return {statusCode: 400, message: 'unable to upgrade: only "Upgrade: SPDY/3.1" is spoken here'};
	}
	const offered = tokens(request.headers[VERSION_HEADER.toLowerCase()]);
	if (offered.length === 0) return {statusCode: 400, message: `unable to upgrade: ${VERSION_HEADER} is required`};
	const version = versions.find(known => offered.includes(known));
	if (version !== undefined) return {version};
	return {
		statusCode: 403,
		message: `unable to upgrade: none of ${offered.join(', ')} is supported`,
		headers: versions.map(name => [ACCEPTED_HEADER, name] as const),
	};
}

export function acceptUpgrade(socket: Duplex, version: string): void {
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

function tokens(header: string | string[] | undefined): readonly string[] {
	const text = Array.isArray(header) ? header.join(',') : (header ?? '');
	return text
		.split(',')
		.map(token => token.trim().toLowerCase())
		.filter(token => token !== '');
}
