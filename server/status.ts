import {status} from '@grpc/grpc-js';
import {constants} from 'node:os';
import {RuntimeError, SyscallError, type ErrorCode} from '../base/errors.js';

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

const FULL_ERRNOS: ReadonlySet<number> = new Set([constants.errno.ENOSPC, constants.errno.EDQUOT]);

/** A full disk, a used-up quota: nothing is wrong with berth, and a retry helps once there is room. From native code, or from Node's own files. */
function isFull(error: unknown): boolean {
	if (error instanceof SyscallError) return FULL_ERRNOS.has(error.errno);
	return error instanceof Error && !(error instanceof RuntimeError) && FULL_ERRNOS.has(-((error as NodeJS.ErrnoException).errno ?? 0));
}

/** Longer texts would not fit the header block that carries them (64 KiB in Node, and each character may take nine bytes). */
const MAX_DETAILS_CHARACTERS = 4096;

/** What goes over the wire for an error: anything that is not a RuntimeError is a bug of ours, INTERNAL. */
export function toStatus(error: unknown): {readonly code: status; readonly details: string} {
	const code = isFull(error) ? status.RESOURCE_EXHAUSTED : error instanceof RuntimeError ? GRPC_STATUS[error.code] : status.INTERNAL;
	const message = error instanceof Error ? error.message : String(error);
	// grpc-js passes it to encodeURI, which throws on a lone surrogate.
	return {code, details: message.slice(0, MAX_DETAILS_CHARACTERS).toWellFormed()};
}
