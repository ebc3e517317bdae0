import {connect, type Socket} from 'node:net';
import {CancelledError, FailedError, TimedOutError, UnavailableError} from '../../../base/errors.js';
import type {Clock} from '../../../base/clock.js';
import type {ShimWire} from '../../../proto/shim.js';
import {encodeFrame, FrameReader, FrameType, type Frame} from './frames.js';

/** The two (de)serializers of a method that its caller needs; a MethodDefinition of proto-loader has them. */
export interface Method<Request, Response> {
	readonly requestSerialize: (value: Request) => Buffer;
	readonly responseDeserialize: (bytes: Buffer) => Response;
	/** "Create": the last part is what goes over the wire. */
	readonly path: string;
}

export interface CallOptions {
	/** 0 = none. */
	readonly timeoutMs: number;
	readonly signal: AbortSignal | null;
}

/** The server answered with a status other than OK. */
export class TtrpcStatusError extends FailedError {
	/** Of gRPC: 5 = NOT_FOUND, 6 = ALREADY_EXISTS, 9 = FAILED_PRECONDITION, … */
	readonly grpcCode: number;
	constructor(method: string, grpcCode: number, message: string) {
		super(`shim: ${method}: ${message || `status ${grpcCode}`}`, {method, grpcCode});
		this.grpcCode = grpcCode;
	}
}

interface Call {
	readonly resolve: (payload: Buffer) => void;
	readonly reject: (error: Error) => void;
	readonly method: string;
}

/** One connection to a ttrpc server; calls may be concurrent. Unary calls only: the shim protocol has no others. */
export class TtrpcClient {
	readonly #socket: Socket;
	readonly #wire: ShimWire;
	readonly #clock: Clock;
	readonly #reader = new FrameReader();
	readonly #calls = new Map<number, Call>();
	// Streams of a client are odd.
	#nextStream = 1;
	#closed: Error | null = null;
	/** Resolves when the connection has ended, for whatever reason. */
	readonly ended: Promise<void>;

	private constructor(socket: Socket, wire: ShimWire, clock: Clock) {
		this.#socket = socket;
		this.#wire = wire;
		this.#clock = clock;
		socket.on('data', (chunk: Buffer) => this.#read(chunk));
		this.ended = new Promise(resolve =>
			socket.once('close', () => {
				this.#fail(new UnavailableError('shim: the connection has ended'));
				resolve();
			}),
		);
		// 'close' follows and tells everybody.
		socket.on('error', error => this.#fail(new UnavailableError(`shim: ${error.message}`, {}, {cause: error})));
	}

	/** @param address "unix:///path", or the name of an abstract socket. @throws {UnavailableError} nobody listens. {FailedError} an address of another kind. */
	static async connect(address: string, wire: ShimWire, clock: Clock): Promise<TtrpcClient> {
		const path = toSocketPath(address);
		return await new Promise((resolve, reject) => {
			const socket = connect({path});
			const refused = (error: Error): void => reject(new UnavailableError(`shim: ${address}: ${error.message}`, {address}, {cause: error}));
			socket.once('error', refused);
			socket.once('connect', () => {
				socket.off('error', refused);
				resolve(new TtrpcClient(socket, wire, clock));
			});
		});
	}

	/**
	 * @param service "containerd.task.v3.Task".
	 * @throws {ResourceExhaustedError} the request is too long; {TtrpcStatusError} the server's; {UnavailableError} the connection ended before the answer; {TimedOutError}; {CancelledError}.
	 */
	async call<Request, Response>(service: string, method: Method<Request, Response>, request: Request, options: CallOptions): Promise<Response> {
		const name = method.path.slice(method.path.lastIndexOf('/') + 1);
		if (this.#closed !== null) throw this.#closed;
		if (options.signal?.aborted === true) throw new CancelledError(`shim: ${name} cancelled`);
		const streamId = this.#nextStream;
		this.#nextStream += 2;
		const payload = method.requestSerialize(request);
		const data = this.#wire.transport.Call.requestSerialize({service, method: name, payload, timeout_nano: String(options.timeoutMs * 1_000_000)});
		// First of all, for it may refuse: a call that nobody waits for must not be there when the connection ends.
		const frame = encodeFrame({streamId, type: FrameType.request, flags: 0, data});
		const answer = new Promise<Buffer>((resolve, reject) => this.#calls.set(streamId, {resolve, reject, method: name}));
		this.#socket.write(frame);
		const over = new AbortController();
		this.#limit(streamId, options, over.signal);
		try {
			return method.responseDeserialize(await answer);
		} finally {
			over.abort();
			this.#calls.delete(streamId);
		}
	}

	/** Ends the connection; calls in flight fail. */
	close(): void {
		this.#socket.destroy();
	}

	#limit(streamId: number, {timeoutMs, signal}: CallOptions, over: AbortSignal): void {
		const call = this.#calls.get(streamId);
		if (call === undefined) return;
		signal?.addEventListener('abort', () => call.reject(new CancelledError(`shim: ${call.method} cancelled`)), {once: true, signal: over});
		if (timeoutMs === 0) return;
		void this.#clock.sleep(timeoutMs, over).then(() => {
			if (!over.aborted) call.reject(new TimedOutError(`shim: ${call.method} did not answer within ${timeoutMs} ms`, {timeoutMs}));
		});
	}

	#read(chunk: Buffer): void {
		try {
			for (const frame of this.#reader.push(chunk)) this.#answer(frame);
		} catch (error) {
			this.#fail(error as Error);
			this.#socket.destroy();
		}
	}

	#answer(frame: Frame): void {
		// An answer to a call that was given up finds nobody.
		const call = this.#calls.get(frame.streamId);
		if (call === undefined || frame.type !== FrameType.response) return;
		const {status, payload} = this.#wire.transport.Call.responseDeserialize(frame.data);
		if (status !== null && status.code !== 0) call.reject(new TtrpcStatusError(call.method, status.code, status.message));
		else call.resolve(payload);
	}

	#fail(error: Error): void {
		this.#closed ??= error;
		for (const call of this.#calls.values()) call.reject(this.#closed);
	}
}

function toSocketPath(address: string): string {
	if (address.startsWith('unix://')) return address.slice('unix://'.length);
	if (/^[a-z]+:\/\//.test(address)) throw new FailedError(`shim: the address ${address} is not of a unix socket`, {address});
	return `\0${address}`;
}
