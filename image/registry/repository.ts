import {setMaxListeners} from 'node:events';
import {backoff} from '../../base/backoff.js';
import {CancelledError, InvalidArgumentError} from '../../base/errors.js';
import {type Logger, silentLog} from '../../base/log.js';
import type {Kernel} from '../../native/native.js';
import type {ImageOptions, RegistryAuth} from '../image.js';
import type {Reference} from '../reference.js';
import {findCredential} from './credentials.js';
import {type Capability, type Endpoint, toRegistryHost} from './endpoint.js';
import {EndpointClient} from './endpoint-client.js';
import {type EndpointFailure, toError, toFailure} from './failure.js';
import {findEndpoints} from './find-endpoints.js';
import {sharedTransport, type Transport} from './transport.js';

const MAX_ROUNDS = 4;
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 5_000;

/** What the registry client works with; StoreParts of image-store.ts has it. */
export interface RegistryParts {
	/** The same object for the life of a store: its connections go with it. */
	readonly options: ImageOptions;
	/** Runs credential helpers. */
	readonly kernel: Pick<Kernel, 'runProgram'>;
	/** Hears of endpoints that failed while another one served. */
	readonly log?: Pick<Logger, 'debug' | 'warn'>;
}
interface RepositoryParts extends RegistryParts {
	readonly actions: 'pull' | 'pull,push';
}
export interface Ask<T> {
	/** For errors: "quay.io/team/app:1". */
	readonly what: string;
	readonly capability: Capability;
	readonly attempt: (client: EndpointClient, signal: AbortSignal) => Promise<T>;
	/** Asked before the others; null = in the configured order. */
	readonly first?: EndpointClient | null;
}

/** One repository at all endpoints of its registry, for the length of one pull or push. */
export class Repository {
	readonly transport: Transport;
	readonly #registry: string;
	readonly #clients: readonly EndpointClient[];
	/** Could not be reached: asked after the others from then on. */
	readonly #unreached = new Set<EndpointClient>();
	readonly #closed = new AbortController();
	readonly #log: Pick<Logger, 'debug' | 'warn'>;

	private constructor(registry: string, clients: readonly EndpointClient[], {options, log = silentLog}: RegistryParts) {
		this.transport = sharedTransport(options);
		this.#registry = registry;
		this.#clients = clients;
		this.#log = log;
		setMaxListeners(0, this.#closed.signal);
	}

	/** Reads the registry's configuration as it is now. @throws {InvalidArgumentError} it is wrong: names file and key. */
	static async open(reference: Reference, auth: RegistryAuth | null, parts: RepositoryParts): Promise<Repository> {
		const {options, kernel, actions} = parts;
		const all = await findEndpoints(reference, options);
		const endpoints = actions === 'pull' ? all : toOneHost(reference, all);
		const clients = endpoints.map(endpoint => {
			const isRegistry = toRegistryHost(endpoint.base.host) === toRegistryHost(reference.registry);
			return new EndpointClient({
				endpoint,
				transport: sharedTransport(options),
				repository: reference.repository,
				namespace: isRegistry ? null : reference.registry,
				scope: `repository:${reference.repository}:${actions}`,
				findCredential: async signal => await findCredential({options, kernel}, {endpoint, reference, auth}, signal),
			});
		});
		return new Repository(reference.registry, clients, parts);
	}

	/**
	 * Asks one endpoint after the other until one gives an answer, and those for which it may help again, up to four times, with growing
	 * pauses or those that the registry asks for.
	 *
	 * @throws {NotFoundError | PermissionDeniedError | UnavailableError | CorruptError} says what each endpoint answered. {CancelledError}
	 */
	async ask<T>({what, capability, attempt, first = null}: Ask<T>, signal: AbortSignal): Promise<T> {
		const failures = new Map<EndpointClient, EndpointFailure>();
		const delays = backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
		const either = this.untilClosed(signal);
		const able = this.#inOrder(capability, first);
		let due = able;
		for (let round = 1; ; round++) {
			for (const client of due) {
				try {
					const answer = await attempt(client, either);
					this.#tell(what, failures);
					return answer;
				} catch (error) {
					if (either.aborted) throw new CancelledError(`${what}: cancelled`, {}, {cause: error});
					this.#note(client, toFailure(error), failures);
				}
			}
			due = able.filter(client => mayHelp(client, failures));
			if (due.length === 0 || round === MAX_ROUNDS) {
				throw toError(
					what,
					[...failures].map(([client, failure]) => ({host: client.host, isMirror: client.endpoint.isMirror, failure})),
				);
			}
			const asked = due.map(client => failures.get(client)?.retryAfterMs ?? 0);
			await this.transport.clock.sleep(Math.max(delays.next().value, Math.min(...asked)), either);
		}
	}

	/** Aborts with the caller's signal, and when the repository is closed. */
	untilClosed(signal: AbortSignal): AbortSignal {
		const either = AbortSignal.any([signal, this.#closed.signal]);
		setMaxListeners(0, either);
		return either;
	}

	/** The endpoint to go on with after `failed` broke off. */
	after(failed: EndpointClient, capability: Capability): EndpointClient | null {
		const able = this.#clients.filter(({endpoint}) => endpoint.capabilities.includes(capability));
		return able[(able.indexOf(failed) + 1) % able.length] ?? null;
	}

	/** Ends everything that is still under way. */
	close(): void {
		this.#closed.abort();
	}

	#note(client: EndpointClient, failure: EndpointFailure, failures: Map<EndpointClient, EndpointFailure>): void {
		failures.set(client, failure);
		if (!failure.isReached) this.#unreached.add(client);
	}

	/** A mirror that lacks an image is as usual; one that fails is for the operator to know. */
	#tell(what: string, failures: ReadonlyMap<EndpointClient, EndpointFailure>): void {
		for (const [{host}, {kind, message}] of failures)
			this.#log[kind === 'missing' ? 'debug' : 'warn']({what, host, reason: message}, 'registry host failed, tried again or passed over');
	}

	#inOrder(capability: Capability, first: EndpointClient | null): readonly EndpointClient[] {
		const able = this.#clients.filter(({endpoint}) => endpoint.capabilities.includes(capability));
		if (able.length === 0) throw withoutCapability(this.#registry, capability);
		const rank = (client: EndpointClient): number => (client === first ? 0 : this.#unreached.has(client) ? 2 : 1);
		return able.sort((a, b) => rank(a) - rank(b));
	}
}

/** All of an image goes to the first host that may take it: its halves must not lie on two. */
function toOneHost({registry}: Reference, endpoints: readonly Endpoint[]): readonly Endpoint[] {
	const able = endpoints.filter(({capabilities}) => capabilities.includes('push'));
	const [first] = able;
	if (first === undefined) throw withoutCapability(registry, 'push');
	return able.filter(({base}) => base.host === first.base.host);
}

function withoutCapability(registry: string, capability: Capability): InvalidArgumentError {
	return new InvalidArgumentError(`${registry}: none of its configured hosts has the capability "${capability}"`);
}

/** A server that cannot be reached is not waited for when another one has given its word. */
function mayHelp(client: EndpointClient, failures: ReadonlyMap<EndpointClient, EndpointFailure>): boolean {
	const failure = failures.get(client);
	if (failure?.isTransient !== true) return false;
	return failure.isReached || ![...failures.values()].some(({kind, isReached}) => isReached && kind !== 'unavailable');
}
