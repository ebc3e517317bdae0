import {once} from 'node:events';
import type {Socket} from 'node:net';
import {systemClock} from '../../base/clock.js';
import type {Logger} from '../../base/log.js';
import type {SpdyConnection} from './spdy/connection.js';
import type {SpdyStream} from './spdy/stream.js';

/** The one subprotocol of port-forward over SPDY (k8s.io/cri-streaming, portforward). */
export const PORT_FORWARD_VERSIONS = ['portforward.k8s.io'] as const;

/** Connects to a port of the pod. */
export type Dial = (port: number) => Promise<Socket>;

export interface PortForwardSession {
	readonly sandboxId: string;
	readonly connection: SpdyConnection;
	readonly dial: Dial;
	readonly log: Logger;
	/** Both streams of a pair must come within this. */
	readonly pairTimeoutMs: number;
}

/** The streams of one forwarded connection: bytes both ways, and what went wrong as text. */
interface Pair {
	error: SpdyStream | null;
	data: SpdyStream | null;
}

/** Serves one client: each pair of streams that it opens is a connection to a port. Resolves when the client is gone. */
export async function servePortForward(session: PortForwardSession): Promise<void> {
	const {connection} = session;
	const pairs = new Map<string, Pair>();
	connection.on('stream', stream => accept(session, pairs, stream));
	if (!connection.closed.aborted) await once(connection, 'close');
}

function accept(session: PortForwardSession, pairs: Map<string, Pair>, stream: SpdyStream): void {
	const {connection} = session;
	const type = stream.headers.get('streamtype');
	const port = toPort(stream.headers.get('port') ?? '');
	if ((type !== 'error' && type !== 'data') || port === null) return connection.refuse(stream);
	// Clients of before Kubernetes 1.3 number nothing: their data stream follows the error stream.
	const requestId = stream.headers.get('requestid') ?? String(type === 'error' ? stream.id : stream.id - 2);
	let pair = pairs.get(requestId);
	if (pair === undefined) {
		pair = {error: null, data: null};
		pairs.set(requestId, pair);
		void dropLonely(session, pairs, requestId, pair);
	}
	if (pair[type] !== null) return connection.refuse(stream);
	pair[type] = stream;
	if (pair.error === null || pair.data === null) return;
	pairs.delete(requestId);
	void forward(session, port, {error: pair.error, data: pair.data});
}

/** A pair whose other half does not come takes a place for nothing. */
async function dropLonely({connection, pairTimeoutMs}: PortForwardSession, pairs: Map<string, Pair>, requestId: string, pair: Pair): Promise<void> {
	await systemClock.sleep(pairTimeoutMs, connection.closed);
	if (pairs.get(requestId) !== pair) return;
	pairs.delete(requestId);
	for (const stream of [pair.error, pair.data]) if (stream !== null) connection.refuse(stream);
}

async function forward(
	{sandboxId, connection, dial, log}: PortForwardSession,
	port: number,
	{error, data}: {readonly error: SpdyStream; readonly data: SpdyStream},
): Promise<void> {
	let said = '';
	try {
		await relay(data, await dial(port));
	} catch (failure) {
		// A client that closed its side in the middle is no failure to tell it of.
		if (!connection.closed.aborted && !data.destroyed) said = `error forwarding port ${port} to pod ${sandboxId}: ${(failure as Error).message}`;
		log.debug({sandboxId, port, err: failure}, 'forwarded connection failed');
	}
	error.end(said);
	error.resume();
	if (!data.writableEnded) data.end();
	data.resume();
}

/** Copies both ways, each end as it comes, until both are over. @throws the first failure; the socket is closed then. */
async function relay(data: SpdyStream, socket: Socket): Promise<void> {
	const over = new Promise<void>((resolve, reject) => {
		socket.once('error', reject);
		socket.once('close', () => resolve());
		data.once('close', () => socket.destroy());
	});
	// pipe() ends the other side's writing at each end, and holds a fast sender back for a slow reader.
	data.pipe(socket).pipe(data);
	if (data.destroyed) socket.destroy();
	await over;
}

function toPort(text: string): number | null {
	const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
	return port >= 1 && port <= 65_535 ? port : null;
}
