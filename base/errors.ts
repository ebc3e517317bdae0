import {getSystemErrorMap} from 'node:util';

/** Stable names of what can go wrong. Tests, metrics and the gRPC edge switch on these; never on `message`. */
export type ErrorCode =
	| 'INVALID_ARGUMENT'
	| 'NOT_FOUND'
	| 'ALREADY_EXISTS'
	| 'WRONG_STATE'
	| 'UNIMPLEMENTED'
	| 'UNAVAILABLE'
	| 'PERMISSION_DENIED'
	| 'RESOURCE_EXHAUSTED'
	| 'SYSCALL_FAILED'
	| 'CORRUPT'
	| 'TIMED_OUT'
	| 'CANCELLED'
	| 'FAILED';

export type ErrorDetails = Readonly<Record<string, string | number>>;

/** Base of every error that crosses a folder boundary. `details` goes to the log whole; `message` is for people. */
export abstract class RuntimeError extends Error {
	abstract readonly code: ErrorCode;
	readonly details: ErrorDetails;
	constructor(message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
		super(message, options);
		this.name = new.target.name;
		this.details = details;
	}
}

/** No such pod sandbox, container or image. Remove and Stop treat it as success (api.proto: idempotent). */
export class NotFoundError extends RuntimeError {
	readonly code = 'NOT_FOUND';
	constructor(kind: 'container' | 'pod sandbox' | 'image' | 'runtime handler', id: string) {
		super(`${kind} "${id}" not found`, {kind, id});
	}
}

/** The name is taken by something else than what is asked for. */
export class AlreadyExistsError extends RuntimeError {
	readonly code = 'ALREADY_EXISTS';
}

/** The object exists but its state forbids the operation. Nothing was changed. Retrying cannot help. */
export class WrongStateError extends RuntimeError {
	readonly code = 'WRONG_STATE';
	constructor(kind: 'container' | 'pod sandbox' | 'image', id: string, state: string, wanted: string) {
		super(`${kind} "${id}" is ${state}, must be ${wanted}`, {kind, id, state, wanted});
	}
}

/** A value outside what api.proto, a file format or the kernel accepts. Thrown before anything is changed; names the field and the rule. */
export class InvalidArgumentError extends RuntimeError {
	readonly code = 'INVALID_ARGUMENT';
}

/** A field or call of the CRI that this version does not do. Never a silent no-op. */
export class UnimplementedError extends RuntimeError {
	readonly code = 'UNIMPLEMENTED';
}

/** Something outside the daemon (registry, monitor, launcher) cannot be reached now; a retry may help. */
export class UnavailableError extends RuntimeError {
	readonly code = 'UNAVAILABLE';
}

/** Credentials or policy refuse it. */
export class PermissionDeniedError extends RuntimeError {
	readonly code = 'PERMISSION_DENIED';
}

/** A limit (disk, inodes, addresses, size of a stream) is reached. */
export class ResourceExhaustedError extends RuntimeError {
	readonly code = 'RESOURCE_EXHAUSTED';
}

/** Data whose digest, checksum or form is wrong: a layer, a journal record, a registry's answer. */
export class CorruptError extends RuntimeError {
	readonly code = 'CORRUPT';
}

/** A step did not end within its deadline; names the step. */
export class TimedOutError extends RuntimeError {
	readonly code = 'TIMED_OUT';
}

/** The caller went away. */
export class CancelledError extends RuntimeError {
	readonly code = 'CANCELLED';
}

/** An outside program (a CNI plugin, say) failed; the message carries its own words. */
export class FailedError extends RuntimeError {
	readonly code = 'FAILED';
}

/**
 * A syscall failed inside native/. `errno` is the positive Linux value (ENOENT = 2).
 * `stage` says what was being done, in words for the log ("mount /proc").
 */
export class SyscallError extends RuntimeError {
	readonly code = 'SYSCALL_FAILED';
	readonly errno: number;
	constructor(stage: string, errno: number, path: string) {
		super(`${stage}${path === '' ? '' : ` ${path}`}: ${errnoText(errno)}`, {stage, errno, path});
		this.errno = errno;
	}
}

/** "ENOENT: no such file or directory" for 2; "errno 999" for one that libuv does not know. */
export function errnoText(errno: number): string {
	const entry = getSystemErrorMap().get(-errno);
	return entry === undefined ? `errno ${errno}` : `${entry[0]}: ${entry[1]}`;
}

/** @throws {CancelledError} when `signal` is aborted. */
export function throwIfCancelled(signal: AbortSignal | undefined, what: string): void {
	if (signal?.aborted === true) throw new CancelledError(`${what} cancelled by the client`);
}
