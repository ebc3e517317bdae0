import {FailedError} from '../base/errors.js';
import type {ContentStore} from './content/content-store.js';
import type {ImageRecord, RegistryAuth} from './image.js';
import type {Descriptor} from './manifest.js';
import {parseReference} from './reference.js';
import {RegistrySource} from './registry/client.js';
import type {RegistryParts} from './registry/repository.js';

export interface BlobParts extends RegistryParts {
	readonly content: ContentStore;
}

/** Reads an image's blobs again, for push and save: kept ones from disk, the others from where the image was pulled. */
export class ImageBlobs implements AsyncDisposable {
	readonly #parts: BlobParts;
	readonly #record: ImageRecord;
	readonly #authOf: (registry: string) => RegistryAuth | null;
	#sources: readonly RegistrySource[] | null = null;

	constructor(parts: BlobParts, record: ImageRecord, authOf: (registry: string) => RegistryAuth | null = () => null) {
		this.#parts = parts;
		this.#record = record;
		this.#authOf = authOf;
	}

	/** @throws {FailedError} nobody has it. */
	async *read(descriptor: Descriptor, signal: AbortSignal): AsyncIterable<Uint8Array> {
		if (this.#parts.content.has(descriptor)) {
			yield* this.#parts.content.read(descriptor);
			return;
		}
		let failure: unknown = null;
		for (const source of await this.#openSources()) {
			let sent = false;
			try {
				for await (const chunk of source.blob(descriptor, signal)) {
					sent = true;
					yield chunk;
				}
				return;
			} catch (error) {
				// Half of a blob cannot be taken back.
				if (sent || signal.aborted) throw error;
				failure = error;
			}
		}
		const why = failure instanceof Error ? `: ${failure.message}` : '';
		throw new FailedError(
			`layer ${descriptor.digest} is not kept here (image.keep_blobs) and cannot be fetched from where the image was pulled${why}`,
			{},
			{cause: failure},
		);
	}

	async #openSources(): Promise<readonly RegistrySource[]> {
		if (this.#sources !== null) return this.#sources;
		const sources: RegistrySource[] = [];
		this.#sources = sources;
		for (const name of this.#record.repoDigests) {
			const reference = parseReference(name);
			sources.push(await RegistrySource.open(reference, this.#authOf(reference.registry), this.#parts));
		}
		return sources;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const source of this.#sources ?? []) await source.close();
	}
}
