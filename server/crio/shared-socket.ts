import {createServer, type Server as NetServer, type Socket} from 'node:net';
import type {Clock} from '../../base/clock.js';
import {toProtocol} from './first-bytes.js';

/** Who takes over a connection, by what its client speaks. The first bytes are in its buffer again. */
export interface Takers {
	http2(socket: Socket): void;
	http1(socket: Socket): void;
}

export interface SharedSocketLimits {
	/** A client that has not shown by then what it speaks is hung up on. */
	readonly decideMs: number;
	/** Connections that have not shown it yet, or speak HTTP/1; the oldest goes. Those of gRPC are not counted. */
	readonly maxOthers: number;
}

const LIMITS: SharedSocketLimits = {decideMs: 10_000, maxOthers: 256};

export interface SharedSocket {
	/** Not listening yet. */
	readonly server: NetServer;
	/** Takes no more connections, and hangs up on all but those of gRPC. */
	close(): void;
}

/**
 * A listener for two protocols. Only the first bytes of a connection are looked at: what takes it over reads from the kernel itself (node's HTTP/2 in native code, past
 * the socket's stream), so it costs a call as much as on a listener of its own.
 */
export function openSharedSocket(takers: Takers, clock: Clock, limits: SharedSocketLimits = LIMITS): SharedSocket {
	const others = new OtherSockets(limits.maxOthers);
	// A client of HTTP/1 may shut its side down after the request.
	const server = createServer({allowHalfOpen: true}, socket => {
		others.add(socket);
		decide(socket, {clock, decideMs: limits.decideMs}, protocol => {
			if (protocol === 'http1') return takers.http1(socket);
			others.release(socket);
			// As on grpc-js's own listener.
			socket.allowHalfOpen = false;
			takers.http2(socket);
		});
	});
	const close = (): void => {
		server.close();
		others.closeAll();
	};
	return {server, close};
}

type Deciding = {readonly clock: Clock; readonly decideMs: number};

/** Calls back once, unless the client goes away or says too little for too long. */
function decide(socket: Socket, {clock, decideMs}: Deciding, decided: (protocol: 'http1' | 'http2') => void): void {
	const over = new AbortController();
	let start: Buffer | null = null;
	const hangUp = (): void => void socket.destroy();
	const look = (): void => {
		const bytes = socket.read() as Buffer | null;
		if (bytes === null) return;
		start = start === null ? bytes : Buffer.concat([start, bytes]);
		const protocol = toProtocol(start);
		if (protocol === null) return;
		over.abort();
		socket.off('readable', look).off('end', hangUp);
		socket.unshift(start);
		decided(protocol);
	};
	// Whoever takes it over listens itself too; a reset connection is nobody's failure.
	socket.on('error', hangUp);
	socket.once('close', () => over.abort());
	socket.on('readable', look).once('end', hangUp);
	void clock.sleep(decideMs, over.signal).then(() => {
		if (!over.signal.aborted) hangUp();
	});
}

/** Those of a socket of unix(7) have no ends that could tell them apart, unlike the streaming server's. */
class OtherSockets {
	readonly #max: number;
	/** Oldest first. */
	readonly #sockets = new Set<Socket>();

	constructor(max: number) {
		this.#max = max;
	}

	add(socket: Socket): void {
		this.#sockets.add(socket);
		socket.once('close', () => this.#sockets.delete(socket));
		const [oldest] = this.#sockets;
		if (this.#sockets.size > this.#max && oldest !== undefined) this.#close(oldest);
	}

	release(socket: Socket): void {
		this.#sockets.delete(socket);
	}

	closeAll(): void {
		for (const socket of this.#sockets) this.#close(socket);
	}

	#close(socket: Socket): void {
		this.#sockets.delete(socket);
		socket.destroy();
	}
}
