import type {Clock} from '../../base/clock.js';
import {ResourceExhaustedError} from '../../base/errors.js';
import type {ContainerRecord} from '../container/record.js';
import type {SandboxRecord} from '../sandbox/record.js';
import type {StateStore} from '../state/store.js';
import {EventStream} from './stream.js';

/** ContainerEventType of the CRI. */
export type ContainerEventKind = 'created' | 'started' | 'stopped' | 'deleted';

/** What happened. */
export interface ContainerFact {
	/** Of the container; a sandbox's own events carry the sandbox's id, as the peers do. */
	readonly containerId: string;
	readonly sandboxId: string;
	readonly kind: ContainerEventKind;
	/** The sandbox's last record, where its removal is the fact. */
	readonly removed?: SandboxRecord;
}

/** A fact with the pod as it was then. The records are immutable and shared: an event costs no copy of them. */
export interface ContainerEvent extends ContainerFact {
	/** When it was published. Rises from event to event: clients drop what is older than what they know of the pod (kubelet, evented PLEG). */
	readonly atNs: bigint;
	readonly sandbox: SandboxRecord | null;
	/** All of the pod's, but those that are still being created. */
	readonly containers: readonly ContainerRecord[];
}

/** An event on its way; shared by the streams that have it. */
export interface Delivery {
	readonly event: ContainerEvent;
	readonly keptSinceMs: number;
	/** A stream was open when it was published. */
	readonly awaited: boolean;
}

export type Listener = (event: ContainerEvent) => void;

/** Events that no client has taken are kept for one that connects so much later: long enough for a kubelet to come back. */
export const KEEP_MS = 5 * 60_000;
/** Of these at most so many, the newest. */
export const MAX_KEPT = 1024;
const MAX_STREAMS = 64;

/**
 * Facts for whoever listens (GetContainerEvents). Publishing never waits and never throws.
 *
 * A stream gets first what is kept: what was published while no stream was open (as all that recovery finds is), and what no stream has taken yet.
 * See docs/decisions/0021.
 */
export class EventBus {
	readonly #state: Pick<StateStore, 'sandbox' | 'containersOf'>;
	readonly #clock: Clock;
	readonly #listeners = new Set<Listener>();
	readonly #streams = new Set<EventStream>();
	/** Oldest first. */
	readonly #kept = new Set<Delivery>();

	constructor(state: Pick<StateStore, 'sandbox' | 'containersOf'>, clock: Clock) {
		this.#state = state;
		this.#clock = clock;
	}

	/** @returns a function that ends the subscription. */
	subscribe(listener: Listener): () => void {
		this.#listeners.add(listener);
		return () => void this.#listeners.delete(listener);
	}

	publish(fact: ContainerFact): void {
		const {sandboxId} = fact;
		const containers = this.#state.containersOf(sandboxId).filter(({state}) => state.phase !== 'creating');
		const event = {...fact, atNs: this.#clock.nowNs(), sandbox: fact.removed ?? this.#state.sandbox(sandboxId), containers};
		for (const listener of this.#listeners) listener(event);
		const delivery: Delivery = {event, keptSinceMs: this.#clock.monotonicMs(), awaited: this.#streams.size > 0};
		this.#keep(delivery);
		for (const stream of this.#streams) stream.push(delivery);
	}

	/** For one client. @throws {ResourceExhaustedError} too many are open. */
	open(): EventStream {
		if (this.#streams.size >= MAX_STREAMS) throw new ResourceExhaustedError(`${MAX_STREAMS} clients are listening for events already`);
		this.#dropOld();
		const stream = new EventStream([...this.#kept], {
			taken: delivery => void (delivery.awaited && this.#kept.delete(delivery)),
			ended: () => void this.#streams.delete(stream),
		});
		this.#streams.add(stream);
		return stream;
	}

	/** Ends all streams, after what they already have. */
	close(): void {
		for (const stream of this.#streams) stream.finish();
	}

	#keep(delivery: Delivery): void {
		this.#dropOld();
		this.#kept.add(delivery);
		const [oldest] = this.#kept;
		if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest);
	}

	#dropOld(): void {
		const limitMs = this.#clock.monotonicMs() - KEEP_MS;
		for (const delivery of this.#kept) {
			if (delivery.keptSinceMs > limitMs) return;
			this.#kept.delete(delivery);
		}
	}
}
