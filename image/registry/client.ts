import type {RegistryAuth} from '../image.js';
import {type Descriptor, digestOf, MANIFEST_TYPES, MAX_MANIFEST_BYTES} from '../manifest.js';
import {type Reference, toName, toText} from '../reference.js';
import type {ImageSource} from '../source.js';
import {BlobFetch} from './blob.js';
import {readBlob} from './chunks.js';
import type {EndpointClient} from './endpoint-client.js';
import {EndpointFailure} from './failure.js';
import {collect} from './follow.js';
import {type RegistryParts, Repository} from './repository.js';

/** The pull half of the distribution-spec over one repository: mirrors in order, the registry itself last. */
export class RegistrySource implements ImageSource {
	readonly #reference: Reference;
	readonly #repository: Repository;

	private constructor(reference: Reference, repository: Repository) {
		this.#reference = reference;
		this.#repository = repository;
	}

	/** Asks nobody yet. @throws {InvalidArgumentError} the registry's configuration is wrong: names file and key. */
	static async open(reference: Reference, auth: RegistryAuth | null, parts: RegistryParts): Promise<RegistrySource> {
		return new RegistrySource(reference, await Repository.open(reference, auth, {...parts, actions: 'pull'}));
	}

	/** What is still under way ends as cancelled. */
	async close(): Promise<void> {
		this.#repository.close();
	}

	/** An endpoint whose answer is no manifest, or not the one that the digest names, counts as failed: the next is asked. */
	async manifest(tagOrDigest: string, signal: AbortSignal): Promise<Uint8Array> {
		const digest = tagOrDigest.startsWith('sha256:') ? tagOrDigest : null;
		const what = digest === null || digest === this.#reference.digest ? toText(this.#reference) : `${toName(this.#reference)}@${digest}`;
		return await this.#repository.ask(
			{
				what,
				capability: digest === null ? 'resolve' : 'pull',
				attempt: async (client, either) => await fetchManifest(client, {tagOrDigest, digest}, either),
			},
			signal,
		);
	}

	/** Resumed where it breaks off; large ones in parallel chunks. */
	async *blob(descriptor: Descriptor, signal: AbortSignal): AsyncIterable<Uint8Array> {
		const {readAhead, clock} = this.#repository.transport;
		yield* readBlob(new BlobFetch(this.#repository, descriptor, toText(this.#reference)), {size: descriptor.size, readAhead, clock}, signal);
	}
}

async function fetchManifest(
	client: EndpointClient,
	{tagOrDigest, digest}: {readonly tagOrDigest: string; readonly digest: string | null},
	signal: AbortSignal,
): Promise<Uint8Array> {
	const url = client.toUrl(`manifests/${tagOrDigest}`);
	const answer = await client.request({method: 'GET', url, headers: {accept: MANIFEST_TYPES.join(', ')}}, [200], signal);
	const bytes = await collect(answer, MAX_MANIFEST_BYTES, 'manifest');
	const found = digestOf(bytes);
	if (digest !== null && found !== digest) throw new EndpointFailure('corrupt', `sends a manifest with digest ${found}, must be ${digest}`);
	const encoding = answer.header('content-encoding');
	if (digest === null && !isJsonObject(bytes))
		throw new EndpointFailure(
			'corrupt',
			`sends a manifest that is not a JSON object${encoding === '' ? '' : `, with Content-Encoding ${JSON.stringify(encoding.slice(0, 50))}`}`,
		);
	const said = answer.header('docker-content-digest');
	if (digest === null && /^sha256:[0-9a-f]{64}$/.test(said) && said !== found)
		throw new EndpointFailure('corrupt', `sends a manifest with digest ${found}, and says that it is ${said}`);
	return bytes;
}

function isJsonObject(bytes: Uint8Array): boolean {
	try {
		const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
		return typeof value === 'object' && value !== null && !Array.isArray(value);
	} catch {
		return false;
	}
}
