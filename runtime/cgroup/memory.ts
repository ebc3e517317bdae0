import {InvalidArgumentError} from '../../base/errors.js';

/** A program whose memory is limited below this cannot even be loaded: the exec would fail with no clear reason. */
export const MIN_MEMORY_LIMIT_BYTES = 524_288n;

/** Limits with the defaults filled in; -1n = no limit. */
export interface MemoryLimits {
	readonly limitBytes: bigint;
	/** Memory and swap together, as cgroup v1 counts. */
	readonly memoryAndSwapBytes: bigint;
}

/**
 * @param limitBytes 0 = not specified; -1 = no limit.
 * @param swapLimitBytes memory and swap together. 0 = not specified: the same as the limit, so that nothing swaps; -1 = no limit.
 * @returns null when nothing is specified.
 * @throws {InvalidArgumentError} below the minimum; swap below memory; swap without memory.
 * @see api.proto, LinuxContainerResources.memory_limit_in_bytes and memory_swap_limit_in_bytes.
 */
export function toMemoryLimits(limitBytes: bigint, swapLimitBytes: bigint): MemoryLimits | null {
	if (limitBytes === 0n && swapLimitBytes === 0n) return null;
	if (limitBytes < -1n || (limitBytes > 0n && limitBytes < MIN_MEMORY_LIMIT_BYTES))
		throw new InvalidArgumentError(`memory_limit_in_bytes ${limitBytes} is neither -1 nor at least ${MIN_MEMORY_LIMIT_BYTES}`, {
			field: 'memory_limit_in_bytes',
		});
	if (swapLimitBytes < -1n) throw new InvalidArgumentError(`memory_swap_limit_in_bytes ${swapLimitBytes} is below -1`, {field: 'memory_swap_limit_in_bytes'});
	if (swapLimitBytes > 0n && limitBytes <= 0n)
		throw new InvalidArgumentError(`memory_swap_limit_in_bytes ${swapLimitBytes} needs memory_limit_in_bytes`, {field: 'memory_swap_limit_in_bytes'});
	if (swapLimitBytes > 0n && swapLimitBytes < limitBytes)
		throw new InvalidArgumentError(`memory_swap_limit_in_bytes ${swapLimitBytes} is below memory_limit_in_bytes ${limitBytes}`, {
			field: 'memory_swap_limit_in_bytes',
		});
	const limit = limitBytes === 0n ? -1n : limitBytes;
	return {limitBytes: limit, memoryAndSwapBytes: swapLimitBytes === 0n ? limit : swapLimitBytes};
}
