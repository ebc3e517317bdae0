import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import type {Logger} from '../../base/log.js';

/** Connects to a port of the pod. */
export type Dial = (port: number) => Promise<Socket>;

/** The streams of one forwarded connection: bytes both ways, and what went wrong as text. */
export interface ForwardedPair {
	readonly port: number;
	readonly error: Duplex;
	readonly data: Duplex;
}

/** A client of port-forward, whatever carries its streams. */
export interface ForwardClient {
	/** Aborts when the client is gone. */
	readonly closed: AbortSignal;
	/** Calls `take` for each connection that the client wants, those that it wanted before included. */
	onPair(take: (pair: ForwardedPair) => void): void;
}

export interface ForwardTarget {
	readonly sandboxId: string;
	readonly dial: Dial;
	readonly log: Logger;
}

/** Serves one client: each pair of its streams is a connection to a port. Resolves when the client is gone. */
export async function servePortForward(client: ForwardClient, target: ForwardTarget): Promise<void> {
	client.onPair(pair => void forward(client, target, pair));
	if (client.closed.aborted) return;
	await new Promise<void>(resolve => client.closed.addEventListener('abort', () => resolve(), {once: true}));
}

async function forward({closed}: ForwardClient, {sandboxId, dial, log}: ForwardTarget, {port, error, data}: ForwardedPair): Promise<void> {
	let said = '';
	try {
		await relay(data, await dial(port));
	} catch (failure) {
		// A client that closed its side in the middle is no failure to tell it of.
		if (!closed.aborted && !data.destroyed) said = `error forwarding port ${port} to pod ${sandboxId}: ${(failure as Error).message}`;
		log.debug({sandboxId, port, err: failure}, 'forwarded connection failed');
	}
	error.end(said);
	error.resume();
	if (!data.writableEnded) data.end();
	data.resume();
}

/** Copies both ways, each end as it comes, until both are over. @throws the first failure; the socket is closed then. */
async function relay(data: Duplex, socket: Socket): Promise<void> {
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
