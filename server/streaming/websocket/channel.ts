import {Duplex} from 'node:stream';

/** Which way a channel carries data, as the server sees it. */
export type Direction = 'in' | 'out' | 'both';

/** What a channel needs of its connection. */
export interface ChannelWire {
	/** Calls back when the socket took it. */
	writeData(channel: number, data: Buffer, done: (error?: Error | null) => void): void;
	/** The channel's reader is full (true) or reads again (false). */
	setBlocked(channel: number, blocked: boolean): void;
}

/** One channel of a connection. Its end of reading is the client's half-close; `end()` tells the client nothing, as the protocols have no word for it. */
export class WebSocketChannel extends Duplex {
	readonly #number: number;
	readonly #wire: ChannelWire;
	/** Whether the client may send here. */
	#open: boolean;

	constructor(number: number, direction: Direction, wire: ChannelWire) {
		super({allowHalfOpen: true});
		this.#number = number;
		this.#wire = wire;
		// Whoever uses the channel sees that its connection broke; nobody must crash for it.
		this.on('error', () => {});
		this.#open = direction !== 'out';
		if (!this.#open) this.push(null);
		if (direction === 'in') this.end();
	}

	/** A message came in; on a channel that carries nothing this way, or nothing more, it is dropped. */
	receive(data: Buffer): void {
		if (!this.#open || this.destroyed || data.length === 0) return;
		if (!this.push(data)) this.#wire.setBlocked(this.#number, true);
	}

	/** The client ended this channel. Idempotent. */
	finish(): void {
		if (!this.#open || this.destroyed) return;
		this.#open = false;
		this.push(null);
	}

	override _read(): void {
		this.#wire.setBlocked(this.#number, false);
	}

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
		this.#wire.writeData(this.#number, chunk, done);
	}

	override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
		this.#wire.setBlocked(this.#number, false);
		done(error);
	}
}
