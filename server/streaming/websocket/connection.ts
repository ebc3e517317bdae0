import {EventEmitter} from 'node:events';
import type {RawData, WebSocket} from 'ws';
import {systemClock} from '../../../base/clock.js';
import {InvalidArgumentError, UnavailableError} from '../../../base/errors.js';
import {Liveness, type LivenessLimits} from '../liveness.js';
import {WebSocketChannel, type ChannelWire, type Direction} from './channel.js';
import type {ChannelProtocol} from './protocols.js';

/** Ends one channel of the client's, since v5 (k8s.io/apimachinery, util/remotecommand: StreamClose). */
const CLOSE_SIGNAL = 255;
const ZERO_DIGIT = 0x30;
/** RFC 6455, 7.4.1. */
export const CloseCode = {NORMAL: 1000, PROTOCOL_ERROR: 1002} as const;

/** Messages of ours are cut at this. */
const MAX_DATA_BYTES = 64 * 1024;
/** Bytes waiting for a client that does not read: only answers to its pings can pile up so far, as data waits for the socket. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;
/** How long a client may take to close after it was sent all. */
const LINGER_MS = 10_000;
/** A close frame's reason has at most 123 bytes (RFC 6455, 5.5). */
const MAX_REASON_BYTES = 123;

/**
 * The server's side of a WebSocket connection with numbered channels. As with SPDY, back-pressure is the socket's: while one channel's reader is
 * full, nothing is read.
 *
 * Emits 'broken' when what came does not follow the protocol, and 'close' once.
 */
export class WebSocketConnection extends EventEmitter<{broken: [Error]; close: []}> {
	readonly #socket: WebSocket;
	readonly #protocol: ChannelProtocol;
	readonly #channels = new Map<number, WebSocketChannel>();
	readonly #blocked = new Set<number>();
	readonly #closed = new AbortController();
	readonly #liveness: Liveness;
	#ending = false;

	/** @param directions By channel number. What comes for another is dropped, as the peers do. */
	constructor(socket: WebSocket, protocol: ChannelProtocol, directions: ReadonlyMap<number, Direction>, limits: LivenessLimits) {
		super();
		this.#socket = socket;
		this.#protocol = protocol;
		this.#liveness = new Liveness(limits);
		for (const [number, direction] of directions) this.#channels.set(number, new WebSocketChannel(number, direction, this.#wire));
		socket.on('message', (data: RawData) => this.#receive(data as Buffer));
		socket.on('ping', () => this.#boundUnsent());
		// Bad framing, or a message over the limit: ws has told the client by a close frame.
		socket.on('error', error => this.#break(error));
		socket.on('close', () => this.destroy());
		void this.#liveness.watch(this.closed, {ping: () => this.#ping(), destroy: () => this.destroy()});
	}

	/** Aborts when the connection is over. */
	get closed(): AbortSignal {
		return this.#closed.signal;
	}

	/** @throws when the connection was made without it. */
	channel(number: number): WebSocketChannel {
		const channel = this.#channels.get(number);
		if (channel === undefined) throw new Error(`no channel ${number}`);
		return channel;
	}

	/** An empty message, by which clients see that the server is ready. */
	announce(number: number): void {
		this.#socket.send(this.#encode(number, Buffer.alloc(0)), () => {});
	}

	/** Says good-bye after what was written, and closes when the client does or after a while. */
	end(): void {
		if (this.closed.aborted || this.#ending) return;
		this.#ending = true;
		this.#socket.close(CloseCode.NORMAL);
		void this.#linger();
	}

	/** Closes at once. Idempotent. */
	destroy(): void {
		if (this.closed.aborted) return;
		this.#closed.abort();
		this.#socket.terminate();
		for (const channel of this.#channels.values()) channel.destroy(new UnavailableError('the connection is closed'));
		this.emit('close');
	}

	#receive(message: Buffer): void {
		if (this.closed.aborted || this.#ending || message.length === 0) return;
		this.#liveness.touch();
		try {
			if (this.#protocol.halfClose && message[0] === CLOSE_SIGNAL) return this.#finish(message);
			const number = this.#protocol.codec === 'base64' ? message[0]! - ZERO_DIGIT : message[0]!;
			this.#channels.get(number)?.receive(this.#decode(number, message.subarray(1)));
		} catch (error) {
			this.#break(error as Error);
		}
	}

	#finish(message: Buffer): void {
		const [, number = -1] = message;
		const channel = this.#channels.get(number);
		if (message.length !== 2 || channel === undefined)
			throw new InvalidArgumentError(`close signal [${[...message.subarray(1, 5)].join(', ')}]: must be followed by the number of one channel`);
		channel.finish();
	}

	#decode(number: number, data: Buffer): Buffer {
		if (this.#protocol.codec === 'binary') return data;
		const text = data.toString('latin1');
		// Buffer.from passes over what is not base64.
		if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) throw new InvalidArgumentError(`message on channel ${number}: not base64`);
		return Buffer.from(text, 'base64');
	}

	#encode(number: number, data: Buffer): Buffer | string {
		if (this.#protocol.codec === 'base64') return String.fromCharCode(ZERO_DIGIT + number) + data.toString('base64');
		const message = Buffer.allocUnsafe(1 + data.length);
		message[0] = number;
		data.copy(message, 1);
		return message;
	}

	readonly #wire: ChannelWire = {
		writeData: (number, data, done) => this.#writeData(number, data, done),
		setBlocked: (number, blocked) => {
			if (blocked) this.#blocked.add(number);
			else this.#blocked.delete(number);
			if (this.#blocked.size > 0 && !this.#ending) this.#socket.pause();
			else if (this.#socket.isPaused) this.#socket.resume();
		},
	};

	#writeData(number: number, data: Buffer, done: (error?: Error | null) => void): void {
		if (this.closed.aborted || this.#ending) return done(new UnavailableError('the connection is closed'));
		this.#liveness.touch();
		const lastOffset = Math.floor(Math.max(0, data.length - 1) / MAX_DATA_BYTES) * MAX_DATA_BYTES;
		for (let offset = 0; offset <= lastOffset; offset += MAX_DATA_BYTES) {
			const sent = offset === lastOffset ? (error?: Error | null) => done(error ?? null) : () => {};
			this.#socket.send(this.#encode(number, data.subarray(offset, offset + MAX_DATA_BYTES)), sent);
		}
	}

	#break(error: Error): void {
		if (this.closed.aborted || this.#ending) return;
		this.emit('broken', error);
		this.#ending = true;
		this.#socket.close(CloseCode.PROTOCOL_ERROR, Buffer.from(error.message).subarray(0, MAX_REASON_BYTES).toString());
		void this.#linger();
	}

	/** What still comes is read and dropped, or the client's own good-bye would not be seen. */
	async #linger(): Promise<void> {
		this.#socket.resume();
		await systemClock.sleep(LINGER_MS, this.closed);
		this.destroy();
	}

	#ping(): void {
		if (this.#ending) return;
		this.#socket.ping();
		this.#boundUnsent();
	}

	#boundUnsent(): void {
		if (this.#socket.bufferedAmount > MAX_UNSENT_BYTES) this.destroy();
	}
}
