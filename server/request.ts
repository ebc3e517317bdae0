import {InvalidArgumentError, NotFoundError} from '../base/errors.js';
import type {ContainerRecord} from '../runtime/container/record.js';
import type {Runtime} from '../runtime/runtime.js';
import type {SandboxRecord} from '../runtime/sandbox/record.js';

/** @throws {InvalidArgumentError} empty. */
export function requireText(field: string, value: string): string {
	if (value === '') throw new InvalidArgumentError(`${field} is empty`, {field});
	return value;
}

/** @throws {InvalidArgumentError} the message is missing. */
export function requireMessage<T>(field: string, value: T | null | undefined): T {
	if (value === null || value === undefined) throw new InvalidArgumentError(`${field} is missing`, {field});
	return value;
}

/** Longest that a timer of Node takes (2^31 - 1 ms, 24 days); the kubelet's "never" is above it. */
const MAX_TIMEOUT_MS = 2_147_483_647;

/**
 * An int64 of seconds as the CRI's timeouts come.
 *
 * @returns milliseconds, at most MAX_TIMEOUT_MS.
 * @throws {InvalidArgumentError} negative.
 */
export function toTimeoutMs(field: string, seconds: string): number {
	const ms = Number(seconds) * 1000;
	if (!(ms >= 0)) throw new InvalidArgumentError(`${field} must be 0 or more seconds, is ${seconds}`, {field});
	return Math.min(ms, MAX_TIMEOUT_MS);
}

/** @throws {InvalidArgumentError} empty id. {NotFoundError} none, several, or still being created. */
export function findContainer(runtime: Runtime, field: string, idOrPrefix: string): ContainerRecord {
	const record = runtime.state.findContainer(requireText(field, idOrPrefix));
	if (record.state.phase === 'creating') throw new NotFoundError('container', idOrPrefix);
	return record;
}

/** @throws {InvalidArgumentError} empty id. {NotFoundError} none, several, or still being created. */
export function findSandbox(runtime: Runtime, field: string, idOrPrefix: string): SandboxRecord {
	const record = runtime.state.findSandbox(requireText(field, idOrPrefix));
	if (record.state.phase === 'creating') throw new NotFoundError('pod sandbox', idOrPrefix);
	return record;
}
