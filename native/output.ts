import {Readable, Writable} from 'node:stream';
import {SyscallError} from '../base/errors.js';
import {addon, type RawFdStream} from './addon.js';

// A pipe holds 64 KiB unless its owner enlarged it, up to 1 MiB for those without privilege.
const MAX_PIPE_BYTES = 1 << 20;

/** Reads a pipe and keeps the first `maxBytes`; what comes after is read and dropped, so that the writer is never held up. */
export class OutputCollector {
	readonly #stream: RawFdStream;
	readonly #maxBytes: number;
	readonly #chunks: Buffer[] = [];
	#length = 0;
	truncated = false;

	/** Takes `fd` over. */
	constructor(fd: number, maxBytes: number) {
		this.#maxBytes = maxBytes;
		this.#stream = new addon.FdStream(fd, (_errno, chunk) => {
			if (chunk !== null) this.#keep(chunk);
		});
		this.#stream.read();
	}

	#keep(chunk: Buffer): void {
		const room = this.#maxBytes - this.#length;
		if (chunk.length > room) this.truncated = true;
		if (room <= 0 || chunk.length === 0) return;
		const kept = chunk.subarray(0, room);
		this.#chunks.push(kept);
		this.#length += kept.length;
	}

	/** Takes what was written up to now, whoever still holds the other end, and closes. Idempotent. */
	close(): void {
		this.#keep(this.#stream.drain(MAX_PIPE_BYTES));
		this.#stream.close();
	}

	/** After close(). */
	bytes(): Buffer {
		return Buffer.concat(this.#chunks, this.#length);
	}
}

/** One end of a pipe, or a terminal (both ends), as Node streams. Closed when neither is in use any more. */
export class FdStreams {
	readonly #raw: RawFdStream;
	readonly readable: Readable | null;
	readonly writable: Writable | null;
	#readableDone: boolean;
	#writableDone: boolean;

	/** Takes `fd` over. */
	constructor(fd: number, use: {readonly read: boolean; readonly write: boolean}) {
		this.#readableDone = !use.read;
		this.#writableDone = !use.write;
		this.#raw = new addon.FdStream(fd, (errno, chunk) => this.#onRead(errno, chunk));
		this.readable = use.read ? this.#makeReadable() : null;
		this.writable = use.write ? this.#makeWritable() : null;
		// A process that ends before it read its input is no reason to end the daemon, whether or not somebody listens.
		this.readable?.on('error', () => {});
		this.writable?.on('error', () => {});
	}

	/** The writers are gone, or those that remain do not count: hands on what is there, then ends. */
	end(): void {
		const {readable} = this;
		if (readable !== null && !this.#readableDone && !readable.destroyed) {
			const rest = this.#raw.drain(MAX_PIPE_BYTES);
			if (rest.length > 0) readable.push(rest);
			readable.push(null);
		}
		this.#readableDone = true;
		this.#writableDone = true;
		this.#raw.close();
		this.writable?.destroy();
	}

	#makeReadable(): Readable {
		return new Readable({
			read: () => this.#raw.read(),
			destroy: (error, done) => {
				this.#readableDone = true;
				this.#raw.pause();
				this.#closeWhenDone();
				done(error);
			},
		});
	}

	#makeWritable(): Writable {
		return new Writable({
			decodeStrings: true,
			write: (chunk: Buffer, _encoding, done) => {
				if (this.#writableDone) return done(new SyscallError('write to stdin', 32, ''));
				this.#raw.write(chunk, errno => done(errno === 0 ? null : new SyscallError('write to stdin', errno, '')));
			},
			destroy: (error, done) => {
				this.#writableDone = true;
				this.#closeWhenDone();
				done(error);
			},
		});
	}

	#onRead(errno: number, chunk: Buffer | null): void {
		const readable = this.readable;
		if (readable === null || this.#readableDone) return;
		if (errno !== 0) return void readable.destroy(new SyscallError('read output', errno, ''));
		if (chunk === null) this.#readableDone = true;
		if (!readable.push(chunk)) this.#raw.pause();
	}

	#closeWhenDone(): void {
		if (this.#readableDone && this.#writableDone) this.#raw.close();
	}
}
