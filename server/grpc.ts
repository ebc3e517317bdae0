import {Metadata, status, type handleServerStreamingCall, type handleUnaryCall} from '@grpc/grpc-js';
import {once} from 'node:events';
import {CancelledError} from '../base/errors.js';
import type {Call, Daemon} from './call.js';
import {toStatus} from './status.js';

export type Handler<Request, Response> = (call: Call, request: Request) => Promise<Response>;
export type StreamHandler<Request, Response> = (call: Call, request: Request) => AsyncIterable<Response>;

/** `reads` are logged at debug level, since the kubelet lists everything each second; `changes` at info. Failures are always logged. */
export type Kind = 'reads' | 'changes';

/** Largest message, both ways: the kubelet's own limit. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/**
 * The one place a domain error becomes a gRPC status, and the one place a call is logged and timed.
 *
 * grpc-js 1.14 does not await handlers: a rejected promise would leave the client waiting until its deadline and
 * surface as unhandledRejection, which ends the process. Register handlers through here and wrapStream only.
 */
export function wrap<Request, Response>(name: string, kind: Kind, daemon: Daemon, handler: Handler<Request, Response>): handleUnaryCall<Request, Response> {
	return (wire, respond) => {
		const scope = openCall(name, kind, daemon, wire);
		const failed = (error: unknown): void => {
			scope.close(error);
			respond(toStatus(error));
		};
		const done = (response: Response): void => {
			scope.close(null);
			respond(null, response);
		};
		run(() => handler(scope.call, wire.request)).then(done, failed);
	};
}

/** The same for calls that answer with a stream. Waits for the client to read, so that a slow one costs no memory. */
export function wrapStream<Request, Response>(
	name: string,
	kind: Kind,
	daemon: Daemon,
	handler: StreamHandler<Request, Response>,
): handleServerStreamingCall<Request, Response> {
	return wire => {
		const scope = openCall(name, kind, daemon, wire);
		const pump = async (): Promise<void> => {
			for await (const response of handler(scope.call, wire.request)) {
				if (scope.call.signal.aborted) throw new CancelledError(`${name} cancelled by the client`);
				if (!wire.write(response)) await once(wire, 'drain', {signal: scope.call.signal});
			}
		};
		const failed = (error: unknown): void => {
			const shown = scope.call.signal.aborted ? new CancelledError(`${name} cancelled by the client`) : error;
			scope.close(shown);
			wire.emit('error', toStatus(shown));
		};
		const done = (): void => {
			scope.close(null);
			wire.end();
		};
		pump().then(done, failed);
		// The handler has begun: a client that waits for the headers knows that from now on nothing is missed.
		wire.sendMetadata(new Metadata());
	};
}

/** A throw before the first await becomes a rejection too. */
async function run<T>(work: () => Promise<T>): Promise<T> {
	return await work();
}

interface Wire {
	on(event: 'cancelled', listener: () => void): unknown;
}

function openCall(name: string, kind: Kind, daemon: Daemon, wire: Wire): {readonly call: Call; close(error: unknown): void} {
	const abort = new AbortController();
	const startMs = performance.now();
	let open = true;
	// Emitted when the client cancels, goes away, or its deadline passes (grpc-js has answered then) — and once more at each call's normal end.
	wire.on('cancelled', () => {
		if (open) abort.abort(new CancelledError(`${name} cancelled by the client`));
	});
	const close = (error: unknown): void => {
		open = false;
		const ms = Math.round((performance.now() - startMs) * 1000) / 1000;
		if (error === null) daemon.log[kind === 'reads' ? 'debug' : 'info']({rpc: name, ms}, 'rpc done');
		else daemon.log[failureLevel(error)]({rpc: name, ms, code: status[toStatus(error).code], err: error}, 'rpc failed');
	};
	return {call: {...daemon, signal: abort.signal}, close};
}

/** `error` is for what an operator must look at; what the client asked wrongly, or gave up, is not. */
function failureLevel(error: unknown): 'error' | 'warn' | 'info' | 'debug' {
	switch (toStatus(error).code) {
		case status.INTERNAL:
		case status.DATA_LOSS:
			return 'error';
		case status.UNIMPLEMENTED:
			return 'debug';
		case status.CANCELLED:
		case status.NOT_FOUND:
			return 'info';
		default:
			return 'warn';
	}
}
