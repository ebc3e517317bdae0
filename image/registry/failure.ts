import {errors} from 'undici';
import {CorruptError, NotFoundError, PermissionDeniedError, RuntimeError, UnavailableError} from '../../base/errors.js';

export type FailureKind = 'missing' | 'denied' | 'unavailable' | 'corrupt' | 'misconfigured';

/** Why one endpoint did not give what it was asked for. Stays inside of registry/: toError() says it to the rest. */
export class EndpointFailure extends Error {
	readonly kind: FailureKind;
	/** Another try at the same endpoint may help. */
	readonly isTransient: boolean;
	/** It answered at all. */
	readonly isReached: boolean;
	/** What the endpoint asks to wait; null = nothing said. */
	readonly retryAfterMs: number | null;

	constructor(
		kind: FailureKind,
		reason: string,
		facts: {readonly isTransient?: boolean; readonly isReached?: boolean; readonly retryAfterMs?: number | null; readonly cause?: unknown} = {},
	) {
		super(reason, facts.cause === undefined ? {} : {cause: facts.cause});
		this.name = 'EndpointFailure';
		this.kind = kind;
		this.isTransient = facts.isTransient ?? false;
		this.isReached = facts.isReached ?? true;
		this.retryAfterMs = facts.retryAfterMs ?? null;
	}
}

/** An attempt was ended because too few bytes came. */
export class StallError extends Error {}

/** No retry makes these better: the name is not known, or a whole connect time-out has passed already. */
const LASTING_CODES = ['ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT', 'ERR_TLS_CERT_ALTNAME_INVALID'];
const CERTIFICATE_CODES = /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/;

/** What a failed exchange or body means. */
export function toFailure(error: unknown): EndpointFailure {
	if (error instanceof EndpointFailure) return error;
	if (error instanceof StallError) return new EndpointFailure('unavailable', error.message, {isTransient: true, cause: error});
	if (error instanceof RuntimeError) return new EndpointFailure('misconfigured', error.message, {cause: error});
	const {code = '', message}: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error));
	if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError)
		return new EndpointFailure('corrupt', `answers no valid HTTP (${message})`, {cause: error});
	const isLasting = LASTING_CODES.includes(code) || CERTIFICATE_CODES.test(code);
	return new EndpointFailure('unavailable', code === '' ? message : `${code} (${message})`, {isTransient: !isLasting, isReached: false, cause: error});
}

/** One host's failure, for a message that lists all. */
export interface HostFailure {
	readonly host: string;
	readonly isMirror: boolean;
	readonly failure: EndpointFailure;
}

/**
 * The error that a caller gets after all endpoints failed, in the order in which they were asked. The registry itself has the word, where
 * it cannot be reached the last mirror that could.
 */
export function toError(what: string, failures: readonly HostFailure[]): RuntimeError {
	const tried = failures.map(({host, failure}) => `${host}: ${failure.message}`).join('; ');
	const reached = failures.filter(({failure}) => failure.isReached);
	const word = reached.findLast(({isMirror}) => !isMirror) ?? reached.at(-1) ?? failures.at(-1);
	const cause = word?.failure;
	const text = `${what}: ${tried}`;
	switch (cause?.kind) {
		case 'missing':
			return new NotInRegistryError(what, tried, cause);
		case 'denied':
			return new PermissionDeniedError(text, {}, {cause});
		case 'corrupt':
			return new CorruptError(text, {}, {cause});
		case 'misconfigured':
			// It names the file or program, and its class says that no registry is to blame.
			return cause.cause instanceof RuntimeError ? cause.cause : new UnavailableError(text, {}, {cause});
		default:
			return new UnavailableError(text, {}, cause === undefined ? {} : {cause});
	}
}

class NotInRegistryError extends NotFoundError {
	constructor(what: string, tried: string, cause: unknown) {
		super('image', what);
		this.message += ` (${tried})`;
		this.cause = cause;
	}
}
