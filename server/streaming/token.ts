import {createHash, randomBytes} from 'node:crypto';
import {systemClock, type Clock} from '../../base/clock.js';
import {ResourceExhaustedError} from '../../base/errors.js';

/** As long as the kubelet's own streaming server waits. */
export const TOKEN_LIFETIME_MS = 60_000;
const TOKEN_BYTES = 32;
/** Unclaimed ones: a caller that asks for URLs and never connects must not fill the memory. */
const MAX_TOKENS = 1000;

/** Values behind one-time secrets that expire. The map's keys are hashes, so that the time of a look-up tells nothing about a token. */
export class TokenTable<Value> {
	/** In order of expiry, as all live equally long. */
	readonly #entries = new Map<string, {readonly value: Value; readonly expiresAtMs: number}>();
	readonly #clock: Pick<Clock, 'monotonicMs'>;

	constructor(clock: Pick<Clock, 'monotonicMs'> = systemClock) {
		this.#clock = clock;
	}

	/**
	 * @returns The token, 256 random bits, fit for a URL.
	 * @throws {ResourceExhaustedError} too many were given out and not used.
	 */
	put(value: Value): string {
		this.#dropExpired();
		if (this.#entries.size >= MAX_TOKENS) throw new ResourceExhaustedError(`${MAX_TOKENS} streaming URLs are not yet used`);
		const token = randomBytes(TOKEN_BYTES).toString('base64url');
		this.#entries.set(hash(token), {value, expiresAtMs: this.#clock.monotonicMs() + TOKEN_LIFETIME_MS});
		return token;
	}

	/** The value, once; null for a token that is unknown, used or expired. */
	take(token: string): Value | null {
		this.#dropExpired();
		const key = hash(token);
		const entry = this.#entries.get(key);
		this.#entries.delete(key);
		return entry?.value ?? null;
	}

	#dropExpired(): void {
		const nowMs = this.#clock.monotonicMs();
		for (const [key, {expiresAtMs}] of this.#entries) {
			if (expiresAtMs > nowMs) return;
			this.#entries.delete(key);
		}
	}
}

function hash(token: string): string {
	return createHash('sha256').update(token).digest('base64url');
}
