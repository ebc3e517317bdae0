import {setMaxListeners} from 'node:events';
import {readFile} from 'node:fs/promises';
import {Agent, type Dispatcher, request} from 'undici';
import {backoff} from '../../base/backoff.js';
import {type Clock, systemClock} from '../../base/clock.js';
import {CancelledError, CorruptError, NotFoundError, PermissionDeniedError, RuntimeError, UnavailableError} from '../../base/errors.js';
import type {ImageOptions, RegistryAuth, RegistryOptions} from '../image.js';
import {type Descriptor, MANIFEST_TYPES, MAX_MANIFEST_BYTES} from '../manifest.js';
import {type Reference, toText} from '../reference.js';
import type {ImageSource} from '../source.js';
import {parseChallenge, toBasic, tokenUrl} from './auth.js';

const MAX_REDIRECTS = 5;
const MAX_TOKEN_BYTES = 1 << 20;
const MAX_ATTEMPTS = 4;
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 5_000;

interface Endpoint {
	readonly base: URL;
	readonly isMirror: boolean;
}

/** The pull half of the distribution-spec over one repository. Mirrors are tried in order, the registry itself last. */
export class RegistrySource implements ImageSource {
	readonly #reference: Reference;
	readonly #auth: RegistryAuth | null;
	readonly #agent: Agent;
	readonly #endpoints: readonly Endpoint[];
	readonly #clock: Clock = systemClock;
	/** By endpoint; a token is good for the whole pull. */
	readonly #authorization = new Map<string, string>();

	private constructor(reference: Reference, auth: RegistryAuth | null, options: ImageOptions, registry: RegistryOptions, ca: string | null) {
		this.#reference = reference;
		this.#auth = auth;
		this.#endpoints = toEndpoints(reference, registry);
		this.#agent = new Agent({
			headersTimeout: options.stallTimeoutMs,
			bodyTimeout: options.stallTimeoutMs,
			connect: {timeout: options.stallTimeoutMs, rejectUnauthorized: !registry.insecureSkipVerify, ...(ca === null ? {} : {ca})},
		});
	}

	static async open(reference: Reference, auth: RegistryAuth | null, options: ImageOptions): Promise<RegistrySource> {
		const registry = options.registries[reference.registry] ??
			options.registries['_default'] ?? {mirrors: [], plainHttp: false, insecureSkipVerify: false, caFile: null};
		const ca = registry.caFile === null ? null : await readFile(registry.caFile, 'utf8');
		return new RegistrySource(reference, auth, options, registry, ca);
	}

	async close(): Promise<void> {
		await this.#agent.destroy();
	}

	async manifest(tagOrDigest: string, signal: AbortSignal): Promise<Uint8Array> {
		const response = await this.#get(`manifests/${tagOrDigest}`, {accept: MANIFEST_TYPES.join(', ')}, signal);
		return await collect(response.body, MAX_MANIFEST_BYTES, 'manifest');
	}

	/** A body that is cut or stalls is resumed by Range; four attempts without a byte in between end it. */
	async *blob(descriptor: Descriptor, signal: AbortSignal): AsyncIterable<Uint8Array> {
		let received = 0;
		const delays = backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
		for (let attempt = 1; ; attempt++) {
			const before = received;
			try {
				const response = await this.#get(`blobs/${descriptor.digest}`, received === 0 ? {} : {range: `bytes=${received}-`}, signal);
				let skip = received > 0 && response.statusCode === 200 ? received : 0;
				for await (const chunk of response.body as AsyncIterable<Buffer>) {
					const fresh = skip > 0 ? chunk.subarray(Math.min(skip, chunk.length)) : chunk;
					skip -= chunk.length - fresh.length;
					received += fresh.length;
					if (received > descriptor.size) throw new CorruptError(`blob ${descriptor.digest} is longer than its size ${descriptor.size}`);
					yield fresh;
				}
				if (received === descriptor.size) return;
			} catch (error) {
				if (signal.aborted) throw new CancelledError('pull cancelled', {}, {cause: error});
				if (error instanceof RuntimeError && !(error instanceof UnavailableError)) throw error;
				if (attempt >= MAX_ATTEMPTS) throw unavailable(this.#reference, error, `blob ${descriptor.digest} of `);
			}
			if (attempt >= MAX_ATTEMPTS) throw new CorruptError(`blob ${descriptor.digest} ends after ${received} of ${descriptor.size} bytes`);
			if (received > before) attempt = 0;
			await this.#clock.sleep(delays.next().value, signal);
		}
	}

	/** One GET at the first endpoint that has it. */
	async #get(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
		setMaxListeners(0, signal);
		let failure: unknown = null;
		let refusal: RuntimeError | null = null;
		for (const endpoint of this.#endpoints) {
			try {
				return await this.#getFrom(endpoint, path, headers, signal);
			} catch (error) {
				if (signal.aborted) throw new CancelledError('pull cancelled', {}, {cause: error});
				failure = error;
				if (error instanceof RuntimeError && !(error instanceof UnavailableError)) refusal = error;
			}
		}
		// A mirror's word counts where the registry itself cannot be asked; else the registry's, which is the last.
		if (refusal !== null && !(failure instanceof RuntimeError)) throw refusal;
		throw failure instanceof RuntimeError ? failure : unavailable(this.#reference, failure);
	}

	async #getFrom(endpoint: Endpoint, path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
		const url = new URL(`v2/${this.#reference.repository}/${path}`, endpoint.base);
		if (endpoint.isMirror) url.searchParams.set('ns', this.#reference.registry);
		const key = endpoint.base.href;
		let response = await this.#follow(url, withAuthorization(headers, this.#authorization.get(key)), signal);
		if (response.statusCode === 401) {
			const challenge = response.headers['www-authenticate'];
			await response.body.dump();
			const authorization = await this.#authorize(String(challenge ?? ''), signal);
			this.#authorization.set(key, authorization);
			response = await this.#follow(url, withAuthorization(headers, authorization), signal);
		}
		if (response.statusCode === 200 || response.statusCode === 206) return response;
		await response.body.dump();
		throw this.#toError(response.statusCode, url);
	}

	async #follow(start: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
		let url = start;
		let sent = headers;
		for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
			const response = await request(url, {method: 'GET', headers: sent, signal, dispatcher: this.#agent});
			if (![301, 302, 303, 307, 308].includes(response.statusCode)) return response;
			await response.body.dump();
			const next = URL.parse(String(response.headers['location'] ?? ''), url.href);
			if (next === null || (next.protocol !== 'https:' && next.protocol !== 'http:'))
				throw new PermissionDeniedError(`registry redirects to ${JSON.stringify(String(response.headers['location']))}, which is no http URL`);
			if (url.protocol === 'https:' && next.protocol === 'http:') throw new PermissionDeniedError(`registry redirects from https to plain http (${next.host})`);
			// Credentials are for the host that asked for them.
			if (next.host !== url.host) sent = Object.fromEntries(Object.entries(sent).filter(([name]) => name !== 'authorization'));
			url = next;
		}
		throw new UnavailableError(`${start.host} redirects more than ${MAX_REDIRECTS} times`);
	}

	async #authorize(header: string, signal: AbortSignal): Promise<string> {
		const challenge = parseChallenge(header);
		if (this.#auth !== null && this.#auth.registryToken !== '') return `Bearer ${this.#auth.registryToken}`;
		const basic = toBasic(this.#auth);
		if (challenge?.scheme === 'basic') {
			if (basic === null) throw new PermissionDeniedError(`${this.#reference.registry} wants credentials for ${this.#reference.repository}`);
			return basic;
		}
		if (challenge === null) throw new PermissionDeniedError(`${this.#reference.registry} refuses without saying how to authenticate`);
		const url = tokenUrl(challenge, this.#reference.repository);
		const identity = this.#auth?.identityToken ?? '';
		const response =
			identity === ''
				? await this.#follow(url, withAuthorization({}, basic ?? undefined), signal)
				: await request(url.origin + url.pathname, {
						method: 'POST',
						signal,
						dispatcher: this.#agent,
						headers: {'content-type': 'application/x-www-form-urlencoded'},
						body: refreshForm(url, identity),
					});
		const body = Buffer.from(await collect(response.body, MAX_TOKEN_BYTES, 'token')).toString('utf8');
		if (response.statusCode !== 200)
			throw new PermissionDeniedError(`token server ${url.host} answers ${response.statusCode} for ${this.#reference.repository}`);
		return `Bearer ${toToken(body)}`;
	}

	#toError(status: number, url: URL): Error {
		const what = toText(this.#reference);
		if (status === 404) return new NotFoundError('image', what);
		if (status === 401 || status === 403) return new PermissionDeniedError(`${url.host} denies access to ${what} (${status})`);
		return new UnavailableError(`${url.host} answers ${status} for ${what}`, {status});
	}
}

function toEndpoints(reference: Reference, registry: RegistryOptions): readonly Endpoint[] {
	const host = reference.registry === 'docker.io' ? 'registry-1.docker.io' : reference.registry;
	const own = {base: new URL(`${registry.plainHttp ? 'http' : 'https'}://${host}/`), isMirror: false};
	return [...registry.mirrors.map(mirror => ({base: new URL(mirror.endsWith('/') ? mirror : `${mirror}/`), isMirror: true})), own];
}

function withAuthorization(headers: Record<string, string>, authorization: string | undefined): Record<string, string> {
	return authorization === undefined ? headers : {...headers, authorization};
}

function refreshForm(url: URL, identityToken: string): string {
	const form = new URLSearchParams({grant_type: 'refresh_token', client_id: 'berth', refresh_token: identityToken});
	for (const key of ['service', 'scope']) form.set(key, url.searchParams.get(key) ?? '');
	return form.toString();
}

function toToken(body: string): string {
	try {
		const value = JSON.parse(body) as {readonly token?: unknown; readonly access_token?: unknown};
		const token = value.token ?? value.access_token;
		if (typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)) return token;
	} catch {
		// Said below: the body itself may hold secrets.
	}
	throw new CorruptError('the token server answers without a token');
}

async function collect(body: AsyncIterable<Uint8Array>, maxBytes: number, what: string): Promise<Uint8Array> {
	const chunks: Uint8Array[] = [];
	let length = 0;
	for await (const chunk of body) {
		length += chunk.length;
		if (length > maxBytes) throw new CorruptError(`${what} is longer than ${maxBytes} bytes`);
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}

function unavailable(reference: Reference, cause: unknown, what = ''): UnavailableError {
	const code =
		cause instanceof RuntimeError ? cause.message : ((cause as NodeJS.ErrnoException | null)?.code ?? (cause instanceof Error ? cause.message : String(cause)));
	return new UnavailableError(`${what}${toText(reference)} cannot be fetched: ${code}`, {}, {cause});
}
