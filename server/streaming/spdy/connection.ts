import {EventEmitter} from 'node:events';
import type {Duplex} from 'node:stream';
import {systemClock} from '../../../base/clock.js';
import {CancelledError, InvalidArgumentError, UnavailableError} from '../../../base/errors.js';
import {Liveness, type LivenessLimits} from '../liveness.js';
import {controlFrame, dataHead, FLAG_FIN, FLAG_UNIDIRECTIONAL, FrameParser, FrameType, GoAwayStatus, StreamStatus, type Frame} from './frames.js';
import {HeaderDecoder, HeaderEncoder, type Headers} from './headers.js';
import {SpdyStream, type StreamWire} from './stream.js';

export interface SpdyLimits extends LivenessLimits {
	/** Streams open at once. */
	readonly maxStreams: number;
}

/** Data frames are cut at this. */
const MAX_DATA_BYTES = 64 * 1024;
/** Bytes waiting for a peer that does not read: only answers to PINGs and refusals can pile up so far, as data waits for the socket. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;
/** How long a client may take to close after it was sent all. */
const LINGER_MS = 10_000;

/**
 * The server's side of a SPDY/3.1 connection, as far as Kubernetes' clients use it: the client opens streams, nobody uses SPDY's flow control
 * (moby/spdystream never sends WINDOW_UPDATE), so back-pressure is the socket's.
 *
 * Emits 'stream' for each stream that the client opened and that was accepted, 'broken' when what came is not SPDY, and 'close' once.
 */
export class SpdyConnection extends EventEmitter<{stream: [SpdyStream]; broken: [Error]; close: []}> {
	readonly #socket: Duplex;
	readonly #limits: SpdyLimits;
	readonly #parser = new FrameParser();
	readonly #decoder = new HeaderDecoder();
	readonly #encoder = new HeaderEncoder();
	readonly #streams = new Map<number, SpdyStream>();
	readonly #blocked = new Set<number>();
	/** By stream, which has one write at a time: to be called when the socket has room again. */
	readonly #undrained = new Map<number, (error?: Error | null) => void>();
	readonly #closed = new AbortController();
	#lastStreamId = 0;
	#ending = false;
	readonly #liveness: Liveness;
	#pingId = 0;

	/**
	 * @param socket The upgraded socket, or what carries its bytes.
	 * @param head What the HTTP parser read beyond the request.
	 */
	constructor(socket: Duplex, head: Buffer, limits: SpdyLimits) {
		super();
		this.#socket = socket;
		this.#limits = limits;
		this.#liveness = new Liveness(limits);
		socket.on('data', (chunk: Buffer) => this.#receive(chunk));
		socket.on('end', () => this.destroy());
		socket.on('error', () => this.destroy());
		socket.on('close', () => this.destroy());
		socket.on('drain', () => this.#drained(null));
		void this.#liveness.watch(this.closed, {ping: () => this.#ping(), destroy: () => this.destroy()});
		// Later, so that the owner can listen for the streams first.
		if (head.length > 0) queueMicrotask(() => this.#receive(head));
	}

	/** Aborts when the connection is over. */
	get closed(): AbortSignal {
		return this.#closed.signal;
	}

	/** Says good-bye after what was written, and closes when the client does or after a while. */
	end(): void {
		if (this.closed.aborted || this.#ending) return;
		this.#send(controlFrame(FrameType.GOAWAY, 0, this.#lastStreamId, GoAwayStatus.OK));
		this.#ending = true;
		this.#socket.end(() => void systemClock.sleep(LINGER_MS, this.closed).then(() => this.destroy()));
		// What still comes is read and dropped: closing with unread input sends a reset, which may cost the client the last of our output.
		this.#socket.resume();
	}

	/** Closes at once. Idempotent. */
	destroy(): void {
		if (this.closed.aborted) return;
		this.#closed.abort();
		this.#socket.destroy();
		this.#drained(new UnavailableError('the connection is closed'));
		for (const stream of this.#streams.values()) stream.destroy(new UnavailableError('the connection is closed'));
		this.emit('close');
	}

	/** Refuses a stream of the client's that nobody wants. */
	refuse(stream: SpdyStream): void {
		this.#send(controlFrame(FrameType.RST_STREAM, 0, stream.id, StreamStatus.REFUSED_STREAM));
		stream.destroy();
	}

	#receive(chunk: Buffer): void {
		if (this.closed.aborted || this.#ending) return;
		try {
			for (const frame of this.#parser.push(chunk)) this.#handle(frame);
		} catch (error) {
			// After bad framing nothing that follows can be understood.
			this.emit('broken', error as Error);
			this.#send(controlFrame(FrameType.GOAWAY, 0, this.#lastStreamId, GoAwayStatus.PROTOCOL_ERROR));
			this.destroy();
		}
	}

	#handle(frame: Frame): void {
		if (this.closed.aborted) return;
		switch (frame.kind) {
			case 'data':
				this.#liveness.touch();
				// A stream that we closed may still get what was under way.
				this.#streams.get(frame.streamId)?.receive(frame.data, frame.fin);
				break;
			case 'syn-stream':
				this.#open(frame.streamId, frame.flags, this.#decoder.decode(frame.block));
				break;
			case 'syn-reply':
			case 'headers':
				// Of no interest, but the decompressor must see every block.
				this.#decoder.decode(frame.block);
				if ((frame.flags & FLAG_FIN) !== 0) this.#streams.get(frame.streamId)?.receive(Buffer.alloc(0), true);
				break;
			case 'rst-stream':
				this.#streams.get(frame.streamId)?.destroy(new CancelledError('the client reset the stream', {status: frame.status}));
				break;
			case 'ping':
				// Even ids are answers to ours.
				if (frame.id % 2 === 1) this.#send(controlFrame(FrameType.PING, 0, frame.id));
				break;
			case 'go-away':
			case 'ignored':
				break;
		}
	}

	#open(streamId: number, flags: number, headers: Headers): void {
		if (streamId % 2 === 0 || streamId <= this.#lastStreamId)
			throw new InvalidArgumentError(`stream id ${streamId} after ${this.#lastStreamId}: a client's must be odd and rise`);
		this.#lastStreamId = streamId;
		this.#liveness.touch();
		if ((flags & FLAG_UNIDIRECTIONAL) !== 0 || this.#streams.size >= this.#limits.maxStreams) {
			this.#send(controlFrame(FrameType.RST_STREAM, 0, streamId, StreamStatus.REFUSED_STREAM));
			return;
		}
		const stream = new SpdyStream(streamId, headers, this.#wire);
		this.#streams.set(streamId, stream);
		this.#send(controlFrame(FrameType.SYN_REPLY, 0, streamId, this.#encoder.encode(new Map())));
		if ((flags & FLAG_FIN) !== 0) stream.receive(Buffer.alloc(0), true);
		this.emit('stream', stream);
	}

	readonly #wire: StreamWire = {
		writeData: (streamId, data, fin, done) => this.#writeData(streamId, data, fin, done),
		setBlocked: (streamId, blocked) => {
			if (blocked) this.#blocked.add(streamId);
			else this.#blocked.delete(streamId);
			if (this.#blocked.size > 0 && !this.#ending) this.#socket.pause();
			else if (this.#socket.isPaused()) this.#socket.resume();
		},
		forget: streamId => this.#forget(streamId),
	};

	#writeData(streamId: number, data: Buffer, fin: boolean, done: (error?: Error | null) => void): void {
		if (this.closed.aborted || this.#socket.writableEnded) return done(new UnavailableError('the connection is closed'));
		this.#liveness.touch();
		this.#socket.cork();
		for (let offset = 0; offset < data.length; offset += MAX_DATA_BYTES) {
			const piece = data.subarray(offset, offset + MAX_DATA_BYTES);
			this.#socket.write(dataHead(streamId, piece.length, false));
			this.#socket.write(piece);
		}
		if (fin) this.#socket.write(dataHead(streamId, 0, true));
		this.#socket.uncork();
		if (!this.#socket.writableNeedDrain) return done();
		this.#undrained.set(streamId, done);
	}

	/** Lets go of those that wrote more than the socket took. One listener for all, and none of a stream that is no more. */
	#drained(error: Error | null): void {
		const waiting = [...this.#undrained.values()];
		this.#undrained.clear();
		for (const done of waiting) done(error);
	}

	#forget(streamId: number): void {
		this.#streams.delete(streamId);
		const done = this.#undrained.get(streamId);
		this.#undrained.delete(streamId);
		done?.(new CancelledError('the stream is closed'));
	}

	#send(frame: Buffer): void {
		if (this.closed.aborted || this.#socket.writableEnded) return;
		this.#socket.write(frame);
		if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.destroy();
	}

	#ping(): void {
		this.#pingId = (this.#pingId + 2) % 0x1_0000_0000;
		this.#send(controlFrame(FrameType.PING, 0, this.#pingId));
	}
}
