import {createHash} from 'node:crypto';
import {backoff} from '../../base/backoff.js';
import {CancelledError, CorruptError} from '../../base/errors.js';
import type {RegistryAuth} from '../image.js';
import {type Descriptor, digestOf} from '../manifest.js';
import {type Reference, toName} from '../reference.js';
import type {ImageTarget} from '../source.js';
import type {EndpointClient} from './endpoint-client.js';
import {EndpointFailure, StallError, toError, toFailure} from './failure.js';
import {toNext} from './follow.js';
import {type RegistryParts, Repository} from './repository.js';
import {PaceMeter, watchPace} from './watch.js';

const MAX_ATTEMPTS = 4;
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 5_000;
/** A registry may move a large blob to its storage before it answers. */
const COMMIT_TIMEOUT_MS = 300_000;

/** A repository to push to: the first host of its registry that may take images, and no other. @throws {InvalidArgumentError} the configuration is wrong, or has none. */
export async function openRegistryTarget(reference: Reference, auth: RegistryAuth | null, parts: RegistryParts): Promise<ImageTarget> {
	return new RegistryTarget(reference, await Repository.open(reference, auth, {...parts, actions: 'pull,push'}));
}

/** The push half of the distribution-spec. */
class RegistryTarget implements ImageTarget {
	readonly #name: string;
	readonly #repository: Repository;

	constructor(reference: Reference, repository: Repository) {
		this.#name = toName(reference);
		this.#repository = repository;
	}

	async close(): Promise<void> {
		this.#repository.close();
	}

	async hasBlob({digest, size}: Descriptor, signal: AbortSignal): Promise<boolean> {
		const attempt = async (client: EndpointClient, either: AbortSignal): Promise<boolean> => {
			const answer = await client.request({method: 'HEAD', url: client.toUrl(`blobs/${digest}`), headers: {}}, [200, 404], either);
			answer.discard();
			const length = answer.header('content-length');
			return answer.status === 200 && (length === '' || Number(length) === size);
		};
		return await this.#repository.ask({what: `blob ${digest} of ${this.#name}`, capability: 'push', attempt}, signal);
	}

	/** Anew from its start when it fails. @throws {CorruptError} `open` gives other bytes than the descriptor says. Else as Repository.ask. */
	async putBlob(descriptor: Descriptor, open: () => AsyncIterable<Uint8Array>, mountFrom: string | null, signal: AbortSignal): Promise<void> {
		const what = `blob ${descriptor.digest} of ${this.#name}`;
		const either = this.#repository.untilClosed(signal);
		const delays = backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
		for (let attempt = 1; ; attempt++) {
			const {client, location} = await this.#startUpload(descriptor, mountFrom, signal);
			if (location === null) return;
			try {
				await this.#upload(client, {descriptor, location, open}, either);
				return;
			} catch (error) {
				if (either.aborted) throw new CancelledError(`${what}: cancelled`, {}, {cause: error});
				const failure = toFailure(error);
				if (attempt >= MAX_ATTEMPTS || !failure.isTransient) throw toError(what, [{host: client.host, isMirror: false, failure}]);
				await this.#repository.transport.clock.sleep(Math.max(delays.next().value, failure.retryAfterMs ?? 0), either);
			}
		}
	}

	async putManifest(tagOrDigest: string, mediaType: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
		const digest = digestOf(bytes);
		if (tagOrDigest.startsWith('sha256:') && tagOrDigest !== digest) throw new CorruptError(`manifest has digest ${digest}, must be ${tagOrDigest}`);
		const attempt = async (client: EndpointClient, either: AbortSignal): Promise<void> => {
			const url = client.toUrl(`manifests/${tagOrDigest}`);
			const answer = await client.request({method: 'PUT', url, headers: {'content-type': mediaType}, body: bytes}, [200, 201], either);
			answer.discard();
			assertSameDigest(answer.header('docker-content-digest'), digest);
		};
		const name = tagOrDigest.startsWith('sha256:') ? `${this.#name}@${tagOrDigest}` : `${this.#name}:${tagOrDigest}`;
		await this.#repository.ask({what: name, capability: 'push', attempt}, signal);
	}

	/** @returns where to send the blob; null: mounted from the other repository, nothing is to be sent. */
	async #startUpload(
		{digest}: Descriptor,
		mountFrom: string | null,
		signal: AbortSignal,
	): Promise<{readonly client: EndpointClient; readonly location: URL | null}> {
		const attempt = async (client: EndpointClient, either: AbortSignal) => {
			const url = client.toUrl('blobs/uploads/');
			if (mountFrom !== null) {
				url.searchParams.set('mount', digest);
				url.searchParams.set('from', mountFrom);
			}
			const answer = await client.request({method: 'POST', url, headers: {'content-length': '0'}}, [201, 202], either);
			answer.discard();
			return {client, location: answer.status === 201 ? null : toNext(url, answer.header('location'))};
		};
		return await this.#repository.ask({what: `blob ${digest} of ${this.#name}`, capability: 'push', attempt}, signal);
	}

	async #upload(
		client: EndpointClient,
		{descriptor, location, open}: {readonly descriptor: Descriptor; readonly location: URL; readonly open: () => AsyncIterable<Uint8Array>},
		signal: AbortSignal,
	): Promise<void> {
		const {clock, pace} = this.#repository.transport;
		const {digest, size} = descriptor;
		const url = new URL(location);
		url.searchParams.set('digest', digest);
		const ended = new AbortController();
		const either = AbortSignal.any([signal, ended.signal]);
		const meter = new PaceMeter(pace, clock);
		let sourceError: unknown = null;
		// Says nothing once all is sent: nothing is waited for by then.
		void watchPace(meter, pace, clock, ended.signal).then(stall => stall !== null && ended.abort(stall));
		const body = metered(checked(open(), descriptor), meter, error => (sourceError = error));
		try {
			const headers = {'content-type': 'application/octet-stream', 'content-length': String(size)};
			const sending = (async function* () {
				yield* body;
				void clock.sleep(COMMIT_TIMEOUT_MS, ended.signal).then(() => ended.abort(new StallError(`stalls: no answer for ${COMMIT_TIMEOUT_MS} ms`)));
			})();
			const answer = await client.request({method: 'PUT', url, headers, body: sending, answerTimeoutMs: null}, [201, 204], either);
			answer.discard();
			assertSameDigest(answer.header('docker-content-digest'), digest);
		} catch (error) {
			throw sourceError ?? error;
		} finally {
			ended.abort();
		}
	}
}

/** Passes the source on. @throws {CorruptError} at its end, when it was not what the descriptor says. */
async function* checked(source: AsyncIterable<Uint8Array>, {digest, size}: Descriptor): AsyncGenerator<Uint8Array> {
	const hash = createHash('sha256');
	let length = 0;
	for await (const piece of source) {
		length += piece.length;
		hash.update(piece);
		// The last piece only after all is checked: the registry must not get a whole blob that is wrong.
		if (length > size) break;
		if (length < size) yield piece;
		else if (`sha256:${hash.copy().digest('hex')}` === digest) yield piece;
		else throw new CorruptError(`blob to push has other bytes than its digest ${digest} says`);
	}
	if (size === 0 && `sha256:${hash.digest('hex')}` !== digest) throw new CorruptError(`blob to push is empty, its digest ${digest} says otherwise`);
	if (length !== size)
		throw new CorruptError(`blob to push has ${length > size ? 'more than ' : ''}${Math.min(length, size)} bytes, its descriptor ${digest} says ${size}`);
}

/** Counts as waiting only while the registry takes a piece, not while the source makes one. */
async function* metered(source: AsyncIterable<Uint8Array>, meter: PaceMeter, failed: (error: unknown) => void): AsyncGenerator<Uint8Array> {
	try {
		for await (const piece of source) {
			meter.wait();
			yield piece;
			meter.took(piece.length);
		}
	} catch (error) {
		failed(error);
		throw error;
	}
}

function assertSameDigest(said: string, digest: string): void {
	if (said.startsWith('sha256:') && said !== digest) throw new EndpointFailure('corrupt', `took ${digest} and says that it is ${said}`);
}
