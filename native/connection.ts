import {CorruptError, SyscallError, UnavailableError, UnimplementedError} from '../base/errors.js';
import {addon, callAddon, type RawChannel} from './addon.js';
import {BodyReader, BodyWriter, decodeHeader, encodeHeader, type Header} from './protocol.js';
import {
	HEADER_BYTES,
	HEADER_FLAG,
	MAX_BODY_BYTES,
	MAX_FDS,
	MAX_INLINE_BODY_BYTES,
	MESSAGE,
	PROTOCOL_MIN_VERSION,
	PROTOCOL_VERSION,
	ROLE,
	TAG,
} from './protocol-numbers.js';

const CONNECT_TIMEOUT_MS = 5000;
const EMSGSIZE = 90;
const ETOOMANYREFS = 109;
const EPROTONOSUPPORT = 93;
const EPIPE = 32;
const ECONNRESET = 104;

export interface Reply {
	readonly body: BodyReader;
	/** The receiver closes them. */
	readonly fds: readonly number[];
}
export interface ConnectionEvents {
	onEvent(type: number, body: BodyReader): void;
	/** Once, and not after close(). */
	onLost(): void;
}
interface Pending {
	readonly resolve: (reply: Reply) => void;
	readonly reject: (error: Error) => void;
}

/** One connection to the launcher or a monitor, after HELLO. Requests may be issued concurrently. */
export class Connection {
	readonly #name: string;
	readonly #events: ConnectionEvents;
	readonly #channel: RawChannel;
	readonly #pending = new Map<number, Pending>();
	#lastRequestId = 0;
	#open = true;
	#version: number = PROTOCOL_VERSION;
	#peerPid = 0;

	private constructor(name: string, fd: number, events: ConnectionEvents) {
		this.#name = name;
		this.#events = events;
		this.#channel = new addon.Channel(
			fd,
			(message, fds) => this.#onMessage(message, fds),
			() => this.#lose(),
		);
	}

	/**
	 * @param name Of the peer, for messages: "launcher".
	 * @throws {SyscallError} stage "connect to": ENOENT, ECONNREFUSED when nobody listens. {UnimplementedError} no common version.
	 */
	static async open(name: string, socketPath: string, events: ConnectionEvents): Promise<Connection> {
		return await Connection.over(name, await callAddon<number>(done => addon.connect(socketPath, CONNECT_TIMEOUT_MS, done)), events);
	}

	/** Says HELLO over a connected socket; takes it over. */
	static async over(name: string, fd: number, events: ConnectionEvents): Promise<Connection> {
		const connection = new Connection(name, fd, events);
		try {
			await connection.#hello();
			return connection;
		} catch (error) {
			connection.close();
			throw error;
		}
	}

	/** Agreed on with the peer. */
	get version(): number {
		return this.#version;
	}
	get peerPid(): number {
		return this.#peerPid;
	}
	get isOpen(): boolean {
		return this.#open;
	}

	async #hello(): Promise<void> {
		const body = new BodyWriter().u32(TAG.MIN_VERSION, PROTOCOL_MIN_VERSION).u32(TAG.ROLE, ROLE.DAEMON);
		try {
			const reply = await this.request(MESSAGE.HELLO, body);
			this.#peerPid = reply.body.u32(TAG.PID);
			const lowest = reply.body.u32(TAG.MIN_VERSION);
			if (this.#version < PROTOCOL_MIN_VERSION || lowest > PROTOCOL_VERSION) throw this.#noCommonVersion();
		} catch (error) {
			throw error instanceof SyscallError && error.errno === EPROTONOSUPPORT ? this.#noCommonVersion() : error;
		}
	}

	#noCommonVersion(): UnimplementedError {
		return new UnimplementedError(`the ${this.#name} speaks no protocol version of ${PROTOCOL_MIN_VERSION} to ${PROTOCOL_VERSION}`);
	}

	/**
	 * Sends a request and waits for its reply. Takes `fds` over in any case.
	 *
	 * @throws {SyscallError} what the peer says failed. {UnavailableError} the connection is or gets lost; the peer may have acted.
	 */
	async request(type: number, body: BodyWriter = new BodyWriter(), fds: readonly number[] = []): Promise<Reply> {
		if (!this.#open) {
			addon.closeFds(fds);
			throw this.#unavailable();
		}
		const requestId = this.#nextRequestId();
		return await new Promise((resolve, reject) => {
			const errno = this.#send({type, requestId}, body.finish(), fds);
			if (errno === 0) this.#pending.set(requestId, {resolve, reject});
			else if (errno === EPIPE || errno === ECONNRESET) reject(this.#unavailable());
			else reject(new SyscallError(`send to ${this.#name}`, errno, ''));
		});
	}

	/** Closes the connection; requests in flight fail. */
	close(): void {
		if (!this.#open) return;
		this.#open = false;
		this.#channel.close();
		this.#failPending();
	}

	#send({type, requestId}: {type: number; requestId: number}, body: Buffer, fds: readonly number[]): number {
		const inMemfd = body.length > MAX_INLINE_BODY_BYTES;
		const tooMuch = body.length > MAX_BODY_BYTES ? EMSGSIZE : fds.length + (inMemfd ? 1 : 0) > MAX_FDS ? ETOOMANYREFS : 0;
		if (tooMuch !== 0) {
			addon.closeFds(fds);
			return tooMuch;
		}
		const flags = inMemfd ? HEADER_FLAG.BODY_IN_MEMFD : 0;
		const header = encodeHeader({version: this.#version, type, requestId, status: 0, flags, bodyBytes: body.length});
		if (inMemfd) return this.#channel.send(header, [addon.memoryFile(body), ...fds]);
		return this.#channel.send(Buffer.concat([header, body]), fds);
	}

	#nextRequestId(): number {
		do this.#lastRequestId = (this.#lastRequestId % 0xffffffff) + 1;
		while (this.#pending.has(this.#lastRequestId));
		return this.#lastRequestId;
	}

	#onMessage(message: Buffer, fds: number[]): void {
		let header: Header;
		let body: BodyReader;
		try {
			header = decodeHeader(message);
			body = new BodyReader(takeBody(header, message, fds));
		} catch {
			// A peer that talks nonsense cannot be trusted with the next message either.
			addon.closeFds(fds);
			this.#channel.close();
			return this.#lose();
		}
		if ((header.flags & HEADER_FLAG.EVENT) !== 0) {
			addon.closeFds(fds);
			return this.#events.onEvent(header.type, body);
		}
		const pending = this.#pending.get(header.requestId);
		this.#pending.delete(header.requestId);
		if (header.type === MESSAGE.HELLO) this.#version = header.version;
		if (pending !== undefined && header.status === 0) return pending.resolve({body, fds});
		addon.closeFds(fds);
		pending?.reject(new SyscallError(body.string(TAG.ERROR_STAGE, `request ${header.type} to ${this.#name}`), header.status, body.string(TAG.ERROR_PATH, '')));
	}

	#lose(): void {
		if (!this.#open) return;
		this.#open = false;
		this.#failPending();
		this.#events.onLost();
	}

	#failPending(): void {
		const error = this.#unavailable();
		for (const {reject} of this.#pending.values()) reject(error);
		this.#pending.clear();
	}

	#unavailable(): UnavailableError {
		return new UnavailableError(`the connection to the ${this.#name} is gone`);
	}
}

/** The message's body, wherever it is; takes its descriptor out of `fds`. @throws {CorruptError} */
function takeBody(header: Header, message: Buffer, fds: number[]): Buffer {
	const inMemfd = (header.flags & HEADER_FLAG.BODY_IN_MEMFD) !== 0;
	const body = inMemfd ? readBodyFile(header, fds) : message.subarray(HEADER_BYTES);
	if (body.length !== header.bodyBytes) throw new CorruptError(`message has ${body.length} bytes of body instead of ${header.bodyBytes}`);
	return body;
}

function readBodyFile(header: Header, fds: number[]): Buffer {
	const [fd] = fds.splice(0, 1);
	if (fd === undefined) throw new CorruptError('message comes without the file of its body');
	try {
		return addon.readMemoryFile(fd, header.bodyBytes);
	} finally {
		addon.closeFds([fd]);
	}
}
