import type {Socket} from 'node:net';

/**
 * Connections that have not yet become a session, from the first byte of a TLS handshake on. Beyond `max` the oldest is closed: whoever means it sends its
 * request at once. A TLS socket stands for the plain one beneath it: both have the same two ends.
 */
export class HalfOpenSockets {
	readonly #max: number;
	readonly #sockets = new Map<string, Socket>();

	constructor(max: number) {
		this.#max = max;
	}

	/** @param socket the plain one, as it was accepted. */
	add(socket: Socket): void {
		const ends = endsOf(socket);
		this.#sockets.set(ends, socket);
		socket.once('close', () => {
			// Another of the same ends may have come before this was noticed.
			if (this.#sockets.get(ends) === socket) this.#sockets.delete(ends);
		});
		if (this.#sockets.size <= this.#max) return;
		const [oldest] = this.#sockets;
		if (oldest !== undefined) this.#close(...oldest);
	}

	/** It is a session now. @param socket the accepted one, or TLS over it. */
	release(socket: Socket): void {
		this.#sockets.delete(endsOf(socket));
	}

	closeAll(): void {
		for (const [ends, socket] of this.#sockets) this.#close(ends, socket);
	}

	#close(ends: string, socket: Socket): void {
		this.#sockets.delete(ends);
		socket.destroy();
	}
}

function endsOf({localAddress, localPort, remoteAddress, remotePort}: Socket): string {
	return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
