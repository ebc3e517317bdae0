import type {Clock} from '../../base/clock.js';

/** A registry that asks for more is asked again after this. */
const MAX_RETRY_AFTER_MS = 60_000;

/** The wait that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date), at most a minute; null when it says nothing sensible. */
export function retryAfterMs(header: string, clock: Pick<Clock, 'nowNs'>): number | null {
	if (header === '') return null;
	const ms = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - Number(clock.nowNs() / 1_000_000n);
	return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
