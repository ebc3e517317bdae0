import type {Clock} from '../base/clock.js';
import type {PullProgress} from './image.js';
import type {LayerStore} from './layer/layer-store.js';
import type {FetchedLayer} from './pull.js';

/** The pulls in flight, by normalised reference. What a layer has received is asked of the layer store, since pulls share layers. */
export class PullsInFlight {
	readonly #pulls = new Map<string, PullInFlight>();
	readonly #layers: LayerStore;
	readonly #clock: Clock;

	constructor(layers: LayerStore, clock: Clock) {
		this.#layers = layers;
		this.#clock = clock;
	}

	get size(): number {
		return this.#pulls.size;
	}

	begin(reference: string): PullInFlight {
		const pull = new PullInFlight(reference, this.#layers, this.#clock.nowNs());
		this.#pulls.set(reference, pull);
		return pull;
	}

	end(pull: PullInFlight): void {
		if (this.#pulls.get(pull.reference) === pull) this.#pulls.delete(pull.reference);
	}

	progress(reference: string): PullProgress | null {
		return this.#pulls.get(reference)?.progress() ?? null;
	}
}

export class PullInFlight {
	readonly reference: string;
	readonly #startedAtNs: bigint;
	readonly #store: LayerStore;
	#layers: readonly (FetchedLayer & {readonly present: boolean})[] | null = null;
	#syncing = false;

	constructor(reference: string, store: LayerStore, startedAtNs: bigint) {
		this.reference = reference;
		this.#startedAtNs = startedAtNs;
		this.#store = store;
	}

	/** The manifest is known; layers that are here already count as fetched. */
	know(layers: readonly FetchedLayer[]): void {
		this.#layers = layers.map(layer => ({...layer, present: this.#store.has(layer.chainId)}));
	}

	sync(): void {
		this.#syncing = true;
	}

	progress(): PullProgress {
		const layers = (this.#layers ?? []).map(({descriptor: {digest, size}, chainId, present}) => ({
			digest,
			sizeBytes: size,
			fetchedBytes: this.#store.has(chainId) ? size : this.#store.receivedBytes(chainId),
			present,
		}));
		const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
		return {
			reference: this.reference,
			startedAtNs: this.#startedAtNs,
			phase: this.#layers === null ? 'resolving' : this.#syncing ? 'syncing' : 'fetching',
			totalBytes: this.#layers === null ? null : sum(layers.map(({sizeBytes}) => sizeBytes)),
			fetchedBytes: sum(layers.map(({fetchedBytes}) => fetchedBytes)),
			layers,
		};
	}
}
