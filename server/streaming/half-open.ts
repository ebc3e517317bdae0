import type {Socket} from 'node:net';

/** Sockets that have connected and not yet become a session. Beyond `max` the oldest is closed: whoever means it sends its request at once. */
export class HalfOpenSockets {
	readonly #max: number;
	readonly #sockets = new Set<Socket>();

	constructor(max: number) {
		this.#max = max;
	}

	add(socket: Socket): void {
		this.#sockets.add(socket);
		socket.once('close', () => this.#sockets.delete(socket));
		const [oldest] = this.#sockets;
		if (this.#sockets.size > this.#max) this.#close(oldest);
	}

	/** It is a session now. */
	release(socket: Socket): void {
		this.#sockets.delete(socket);
	}

	closeAll(): void {
		for (const socket of this.#sockets) this.#close(socket);
	}

	#close(socket: Socket | undefined): void {
		if (socket === undefined) return;
		this.#sockets.delete(socket);
		socket.destroy();
	}
}
