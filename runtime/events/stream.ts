import {CancelledError, ResourceExhaustedError} from '../../base/errors.js';
import type {ContainerEvent, Delivery} from './bus.js';

/** Events that wait for one client. With the pods' records, which they share, some megabytes at most. */
export const MAX_WAITING = 4096;

export interface StreamOwner {
	taken(delivery: Delivery): void;
	ended(): void;
}

/** The events of one client, in order. A client that lets too many wait loses the stream, and is told so: it never misses one unawares. */
export class EventStream {
	readonly #owner: StreamOwner;
	#waiting: Delivery[];
	#wake = (): void => {};
	#finished = false;
	#overrun = false;

	constructor(kept: Delivery[], owner: StreamOwner) {
		this.#waiting = kept;
		this.#owner = owner;
	}

	/** By the bus. */
	push(delivery: Delivery): void {
		if (this.#waiting.length >= MAX_WAITING) {
			// What it has not taken is still there for the next stream, so far as it is kept.
			this.#overrun = true;
			this.#waiting = [];
			this.#owner.ended();
		} else this.#waiting.push(delivery);
		this.#wake();
	}

	/** By the bus: no more will come. */
	finish(): void {
		this.#finished = true;
		this.#wake();
	}

	/** Idempotent. */
	end(): void {
		this.#waiting = [];
		this.#owner.ended();
	}

	/**
	 * The next event; null when no more will come.
	 *
	 * @throws {ResourceExhaustedError} too many waited. {CancelledError} `signal` aborted.
	 */
	async next(signal: AbortSignal): Promise<ContainerEvent | null> {
		for (;;) {
			if (signal.aborted) throw new CancelledError('no longer listening for events');
			if (this.#overrun) throw new ResourceExhaustedError(`the client read too slowly: more than ${MAX_WAITING} events waited. List, and listen anew`);
			const delivery = this.#waiting.shift();
			if (delivery !== undefined) {
				this.#owner.taken(delivery);
				return delivery.event;
			}
			if (this.#finished) return null;
			await this.#change(signal);
		}
	}

	#change(signal: AbortSignal): Promise<void> {
		return new Promise(resolve => {
			const done = (): void => {
				signal.removeEventListener('abort', done);
				this.#wake = () => {};
				resolve();
			};
			this.#wake = done;
			signal.addEventListener('abort', done, {once: true});
		});
	}
}
