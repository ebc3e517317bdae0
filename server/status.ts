import {status} from '@grpc/grpc-js';
import {RuntimeError, type ErrorCode} from '../base/errors.js';

/**
 * gRPC status per error code. A code without a row does not compile.
 *
 * The kubelet reads only three of them: DEADLINE_EXCEEDED of ExecSync is a timed-out probe, NOT_FOUND of a status call a pod that is gone,
 * UNIMPLEMENTED a call to do without. For the rest: CORRUPT is DATA_LOSS (as containerd's errdefs has it), a failed outside program
 * is UNKNOWN (what both peers answer when a CNI plugin fails), a failed syscall INTERNAL. PullImage answers UNKNOWN where the kubelet
 * knows a word for the reason.
 */
export const GRPC_STATUS: Readonly<Record<ErrorCode, status>> = {
	INVALID_ARGUMENT: status.INVALID_ARGUMENT,
	NOT_FOUND: status.NOT_FOUND,
	ALREADY_EXISTS: status.ALREADY_EXISTS,
	WRONG_STATE: status.FAILED_PRECONDITION,
	UNIMPLEMENTED: status.UNIMPLEMENTED,
	UNAVAILABLE: status.UNAVAILABLE,
	PERMISSION_DENIED: status.PERMISSION_DENIED,
	RESOURCE_EXHAUSTED: status.RESOURCE_EXHAUSTED,
	SYSCALL_FAILED: status.INTERNAL,
	CORRUPT: status.DATA_LOSS,
	TIMED_OUT: status.DEADLINE_EXCEEDED,
	CANCELLED: status.CANCELLED,
	FAILED: status.UNKNOWN,
};

/** Longer texts would not fit the header block that carries them (64 KiB in Node, and each character may take nine bytes). */
const MAX_DETAILS_CHARACTERS = 4096;

/** What goes over the wire for an error: anything that is not a RuntimeError is a bug of ours, INTERNAL. */
export function toStatus(error: unknown): {readonly code: status; readonly details: string} {
	const code = error instanceof RuntimeError ? GRPC_STATUS[error.code] : status.INTERNAL;
	const message = error instanceof Error ? error.message : String(error);
	// grpc-js passes it to encodeURI, which throws on a lone surrogate.
	return {code, details: message.slice(0, MAX_DETAILS_CHARACTERS).toWellFormed()};
}
