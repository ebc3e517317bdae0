/** ContainerEventType of the CRI. */
export type ContainerEventKind = 'created' | 'started' | 'stopped' | 'deleted';

export interface ContainerEvent {
	/** Of the container; a sandbox's own events carry the sandbox's id, as the peers do. */
	readonly containerId: string;
	readonly sandboxId: string;
	readonly kind: ContainerEventKind;
	readonly atNs: bigint;
}

export type Listener = (event: ContainerEvent) => void;

/** Facts for whoever listens (GetContainerEvents). Publishing never waits and never throws. */
export class EventBus {
	readonly #listeners = new Set<Listener>();

	/** @returns a function that ends the subscription. */
	subscribe(listener: Listener): () => void {
		this.#listeners.add(listener);
		return () => void this.#listeners.delete(listener);
	}

	publish(event: ContainerEvent): void {
		for (const listener of this.#listeners) listener(event);
	}
}
