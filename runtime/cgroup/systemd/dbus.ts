import {connect, type Socket} from 'node:net';
import {CorruptError, FailedError, UnavailableError} from '../../../base/errors.js';
import {toText, type DbusValue} from './dbus-codec.js';
import {encodeMessage, MESSAGE_TYPE, takeMessage, type DbusMessage} from './dbus-message.js';

export interface DbusCall {
	readonly destination: string;
	readonly path: string;
	readonly interface: string;
	readonly member: string;
	readonly signature: string;
	readonly body: readonly DbusValue[];
}

/** An error reply: `details.name` is the D-Bus name of the error. */
export function isDbusError(error: unknown, name: string): boolean {
	return error instanceof FailedError && error.details['name'] === name;
}

interface Waiting {
	readonly resolve: (body: readonly DbusValue[]) => void;
	readonly reject: (error: Error) => void;
}

/** A connection to a bus as root, over a Unix socket: calls and signals, no objects of our own. */
export class DbusConnection {
	readonly #socket: Socket;
	readonly #path: string;
	readonly #waiting = new Map<number, Waiting>();
	readonly #onSignal: (signal: DbusMessage) => void;
	#received = Buffer.alloc(0);
	#serial = 0;
	/** Lines of the authentication; null once messages come. */
	#onLine: ((line: string) => void) | null = null;
	#closed: Error | null = null;

	private constructor(socket: Socket, path: string, onSignal: (signal: DbusMessage) => void) {
		this.#socket = socket;
		this.#path = path;
		this.#onSignal = onSignal;
		socket.on('data', (chunk: Buffer) => this.#onData(chunk));
		socket.on('error', error => this.#end(error));
		socket.on('close', () => this.#end(null));
	}

	/**
	 * Connects, authenticates by the socket's credentials (EXTERNAL), and says Hello.
	 *
	 * @throws {UnavailableError} nobody listens, or the bus does not want us.
	 */
	static async open(path: string, uid: number, onSignal: (signal: DbusMessage) => void): Promise<DbusConnection> {
		const connection = new DbusConnection(connect({path}), path, onSignal);
		try {
			await connection.#authenticate(uid);
			const bus = 'org.freedesktop.DBus';
			await connection.call({destination: bus, path: '/org/freedesktop/DBus', interface: bus, member: 'Hello', signature: '', body: []});
		} catch (error) {
			connection.close();
			throw error;
		}
		return connection;
	}

	get isOpen(): boolean {
		return this.#closed === null;
	}

	/** @throws {FailedError} the peer's error reply. {UnavailableError} the connection is gone. */
	async call(call: DbusCall): Promise<readonly DbusValue[]> {
		if (this.#closed !== null) throw this.#closed;
		const serial = ++this.#serial;
		const message: DbusMessage = {...call, type: MESSAGE_TYPE.CALL, serial, errorName: '', replySerial: 0};
		return await new Promise((resolve, reject) => {
			this.#waiting.set(serial, {resolve, reject});
			this.#socket.write(encodeMessage(message));
		});
	}

	/** Idempotent. */
	close(): void {
		this.#end(null);
	}

	async #authenticate(uid: number): Promise<void> {
		const hex = Buffer.from(String(uid)).toString('hex');
		const line = await new Promise<string>((resolve, reject) => {
			this.#onLine = resolve;
			this.#waiting.set(0, {resolve: () => undefined, reject});
			this.#socket.write(`\0AUTH EXTERNAL ${hex}\r\n`);
		});
		this.#waiting.delete(0);
		this.#onLine = null;
		if (!line.startsWith('OK ')) throw new UnavailableError(`the D-Bus of ${this.#path} does not let uid ${uid} in: ${line}`);
		this.#socket.write('BEGIN\r\n');
	}

	#onData(chunk: Buffer): void {
		this.#received = Buffer.concat([this.#received, chunk]);
		const end = this.#onLine === null ? -1 : this.#received.indexOf('\r\n');
		if (this.#onLine !== null) {
			if (end < 0) return;
			const line = this.#received.toString('latin1', 0, end);
			this.#received = this.#received.subarray(end + 2);
			this.#onLine(line);
			return;
		}
		try {
			for (let taken = takeMessage(this.#received); taken !== null; taken = takeMessage(this.#received)) {
				this.#received = this.#received.subarray(taken.length);
				this.#onMessage(taken.message);
			}
		} catch (error) {
			this.#end(error instanceof CorruptError ? error : new CorruptError(`a D-Bus message cannot be read: ${(error as Error).message}`));
		}
	}

	#onMessage(message: DbusMessage): void {
		if (message.type === MESSAGE_TYPE.SIGNAL) {
			this.#onSignal(message);
			return;
		}
		const waiting = this.#waiting.get(message.replySerial);
		this.#waiting.delete(message.replySerial);
		if (message.type === MESSAGE_TYPE.RETURN) waiting?.resolve(message.body);
		else if (message.type === MESSAGE_TYPE.ERROR) waiting?.reject(new FailedError(toText(message.body[0]) || message.errorName, {name: message.errorName}));
	}

	#end(cause: Error | null): void {
		if (this.#closed !== null) return;
		this.#closed = new UnavailableError(`the D-Bus of ${this.#path} is gone${cause === null ? '' : `: ${cause.message}`}`, {path: this.#path}, {cause});
		this.#socket.destroy();
		for (const {reject} of this.#waiting.values()) reject(this.#closed);
		this.#waiting.clear();
	}
}
