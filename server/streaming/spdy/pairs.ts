import {systemClock} from '../../../base/clock.js';
import type {ForwardClient, ForwardedPair} from '../port-forward.js';
import type {SpdyConnection} from './connection.js';
import type {SpdyStream} from './stream.js';

/** The one subprotocol of port-forward over SPDY (k8s.io/cri-streaming, portforward). */
export const PORT_FORWARD_VERSIONS = ['portforward.k8s.io'] as const;

interface Half {
	error: SpdyStream | null;
	data: SpdyStream | null;
}

/**
 * Joins the streams that a client opens to pairs: an error and a data stream with the same headers port and requestID. Others are refused, and so
 * is a stream whose other half does not come within `pairTimeoutMs`.
 */
export function spdyForwardClient(connection: SpdyConnection, pairTimeoutMs: number): ForwardClient {
	const halves = new Map<string, Half>();
	return {
		closed: connection.closed,
		onPair(take) {
			connection.on('stream', stream => {
				const pair = join(connection, {halves, pairTimeoutMs}, stream);
				if (pair !== null) take(pair);
			});
		},
	};
}

interface Waiting {
	readonly halves: Map<string, Half>;
	readonly pairTimeoutMs: number;
}

function join(connection: SpdyConnection, {halves, pairTimeoutMs}: Waiting, stream: SpdyStream): ForwardedPair | null {
	const type = stream.headers.get('streamtype');
	const port = toPort(stream.headers.get('port') ?? '');
	if ((type !== 'error' && type !== 'data') || port === null) return refuse(connection, stream);
	// Clients of before Kubernetes 1.3 number nothing: their data stream follows the error stream.
	const requestId = stream.headers.get('requestid') ?? String(type === 'error' ? stream.id : stream.id - 2);
	let pair = halves.get(requestId);
	if (pair === undefined) {
		pair = {error: null, data: null};
		halves.set(requestId, pair);
		void dropLonely(connection, {halves, pairTimeoutMs}, requestId);
	}
	if (pair[type] !== null) return refuse(connection, stream);
	pair[type] = stream;
	if (pair.error === null || pair.data === null) return null;
	halves.delete(requestId);
	return {port, error: pair.error, data: pair.data};
}

function refuse(connection: SpdyConnection, stream: SpdyStream): null {
	connection.refuse(stream);
	return null;
}

/** A pair whose other half does not come takes a place for nothing. */
async function dropLonely(connection: SpdyConnection, {halves, pairTimeoutMs}: Waiting, requestId: string): Promise<void> {
	const lonely = halves.get(requestId);
	await systemClock.sleep(pairTimeoutMs, connection.closed);
	if (lonely === undefined || halves.get(requestId) !== lonely) return;
	halves.delete(requestId);
	for (const stream of [lonely.error, lonely.data]) if (stream !== null) connection.refuse(stream);
}

function toPort(text: string): number | null {
	const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
	return port >= 1 && port <= 65_535 ? port : null;
}
