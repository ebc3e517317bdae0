import {Duplex} from 'node:stream';
import type {Headers} from './headers.js';

/** What a stream needs of its connection. */
export interface StreamWire {
	/** Calls back when the socket has room again. */
	writeData(streamId: number, data: Buffer, fin: boolean, done: (error?: Error | null) => void): void;
	/** The stream's reader is full (true) or reads again (false). */
	setBlocked(streamId: number, blocked: boolean): void;
	forget(streamId: number): void;
}

/** One stream of a connection. Its end of reading is the peer's FIN; `end()` sends ours. Destroyed with the connection or by RST_STREAM. */
export class SpdyStream extends Duplex {
	readonly id: number;
	readonly headers: Headers;
	readonly #wire: StreamWire;
	/** The peer sent its FIN. */
	#finished = false;

	constructor(id: number, headers: Headers, wire: StreamWire) {
		super({allowHalfOpen: true});
		this.id = id;
		this.headers = headers;
		this.#wire = wire;
		// A connection that breaks destroys its streams with an error: whoever uses them sees it, nobody must crash for it.
		this.on('error', () => {});
	}

	/** A piece of a data frame came in. After the FIN it is dropped. */
	receive(data: Buffer, fin: boolean): void {
		if (this.#finished || this.destroyed) return;
		if (data.length > 0 && !this.push(data)) this.#wire.setBlocked(this.id, true);
		if (!fin) return;
		this.#finished = true;
		this.push(null);
	}

	override _read(): void {
		this.#wire.setBlocked(this.id, false);
	}

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
		this.#wire.writeData(this.id, chunk, false, done);
	}

	override _final(done: (error?: Error | null) => void): void {
		this.#wire.writeData(this.id, Buffer.alloc(0), true, done);
	}

	override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
		this.#wire.setBlocked(this.id, false);
		this.#wire.forget(this.id);
		done(error);
	}
}
