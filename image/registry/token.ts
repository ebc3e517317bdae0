import {JoinedCalls} from '../../base/joined-calls.js';
import {type Challenge, parseChallenge} from './challenge.js';
import type {Credential} from './credentials.js';
import {EndpointFailure, toFailure} from './failure.js';
import {collect, follow, type Hop} from './follow.js';
import type {HttpRequest, Transport} from './transport.js';
import {retryAfterMs} from './retry-after.js';

const MAX_TOKEN_BYTES = 1 << 20;
const CLIENT_ID = 'berth';
/** A token goes this much before its end, so that no request finds it just expired. */
const USABLE_SHARE = 0.9;

export interface AuthorizerParts {
	readonly hop: Hop;
	/** Of the endpoint; its scheme says whether secrets may go in the clear. */
	readonly base: URL;
	/** What to ask for when the challenge names no scope: "repository:library/busybox:pull". */
	readonly scope: string;
	/** Its answer is kept. */
	readonly findCredential: (signal: AbortSignal) => Promise<Credential | null>;
}

/** The Authorization header for one endpoint, as its challenges ask for it (distribution's spec/auth/token.md). A token serves until it ends or is refused. */
export class Authorizer {
	readonly #parts: AuthorizerParts;
	readonly #renewals = new JoinedCalls<string>();
	/** All that were ever asked for: a token for one more blob must still be good for the others. */
	readonly #scopes = new Set<string>();
	#credential: Promise<Credential | null> | null = null;
	#value: string | null = null;
	/** Monotonic; null = not known. */
	#expiresAtMs: number | null = null;

	constructor(parts: AuthorizerParts) {
		this.#parts = parts;
	}

	get #transport(): Transport {
		return this.#parts.hop.transport;
	}

	/** null = none yet, or none any more. */
	current(): string | null {
		if (this.#expiresAtMs !== null && this.#transport.clock.monotonicMs() >= this.#expiresAtMs) {
			this.#value = null;
			this.#expiresAtMs = null;
		}
		return this.#value;
	}

	/**
	 * Answers a 401. Requests that are refused at the same time share one new token.
	 *
	 * @param refused What the refused request was sent with.
	 * @throws {EndpointFailure} there is nothing better to send, or the token server says so.
	 */
	async renew(refused: string | null, header: string, signal: AbortSignal): Promise<string> {
		const current = this.current();
		if (current !== null && current !== refused) return current;
		return await this.#renewals.run('', signal, async joined => {
			const value = await this.#answer(header, joined);
			if (value === refused) throw new EndpointFailure('denied', 'refuses the credentials (401)');
			this.#value = value;
			return value;
		});
	}

	async #answer(header: string, signal: AbortSignal): Promise<string> {
		const challenge = parseChallenge(header);
		if (challenge === null) throw new EndpointFailure('denied', 'refuses (401) without a challenge that is known');
		const credential = await this.#findCredential(signal);
		if (credential?.kind === 'bearer') return `Bearer ${credential.token}`;
		if (challenge.scheme === 'bearer') return `Bearer ${await this.#fetchToken(challenge, credential, signal)}`;
		if (credential === null) throw new EndpointFailure('denied', 'wants credentials (401)');
		if (credential.kind === 'identity') throw new EndpointFailure('denied', 'wants user and password (401), there is only an identity token');
		return toBasic(credential);
	}

	async #findCredential(signal: AbortSignal): Promise<Credential | null> {
		try {
			return await (this.#credential ??= this.#parts.findCredential(signal));
		} catch (error) {
			this.#credential = null;
			throw error;
		}
	}

	async #fetchToken(challenge: Challenge, credential: Exclude<Credential, {readonly kind: 'bearer'}> | null, signal: AbortSignal): Promise<string> {
		for (const scope of (challenge.scope || this.#parts.scope).split(' ')) if (scope !== '') this.#scopes.add(scope);
		const url = toRealm(challenge);
		const secretGoesClear = credential !== null && url.protocol === 'http:' && this.#parts.base.protocol === 'https:';
		if (secretGoesClear) throw new EndpointFailure('denied', `wants credentials sent to ${url.host} by plain http`);
		try {
			const answer = await follow(this.#parts.hop, toTokenRequest(url, {challenge, credential, scopes: [...this.#scopes]}, this.#transport), signal);
			const {status} = answer;
			if (status !== 200) {
				answer.discard();
				if (status !== 429 && status < 500) throw new EndpointFailure('denied', `token server ${url.host} answers ${status}`);
				const facts = {isTransient: true, retryAfterMs: retryAfterMs(answer.header('retry-after'), this.#transport.clock)};
				throw new EndpointFailure('unavailable', `token server ${url.host} answers ${status}`, facts);
			}
			return this.#take(await collect(answer, MAX_TOKEN_BYTES, 'token'), url);
		} catch (error) {
			if (signal.aborted || error instanceof EndpointFailure) throw error;
			const {kind, message, isTransient} = toFailure(error);
			throw new EndpointFailure(kind, `token server ${url.host}: ${message}`, {isTransient, isReached: false, cause: error});
		}
	}

	#take(body: Uint8Array, url: URL): string {
		const {token, expiresInSeconds} = parseToken(body);
		if (token === null) throw new EndpointFailure('corrupt', `token server ${url.host} answers without a token`);
		this.#expiresAtMs = expiresInSeconds === null ? null : this.#transport.clock.monotonicMs() + expiresInSeconds * 1000 * USABLE_SHARE;
		return token;
	}
}

function toBasic({username, password}: {readonly username: string; readonly password: string}): string {
	return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function toRealm({realm}: Challenge): URL {
	const url = URL.parse(realm);
	if (url !== null && (url.protocol === 'https:' || url.protocol === 'http:') && url.username === '' && url.password === '') return url;
	throw new EndpointFailure('denied', `wants a token from ${JSON.stringify(realm.slice(0, 200))}, which is no http URL`);
}

interface TokenWish {
	readonly challenge: Challenge;
	readonly credential: Exclude<Credential, {readonly kind: 'bearer'}> | null;
	readonly scopes: readonly string[];
}

/** GET with Basic or without, as every token server knows it; a refresh token goes by POST (distribution's spec/auth/oauth.md). */
function toTokenRequest(realm: URL, {challenge, credential, scopes}: TokenWish, {pace}: Transport): HttpRequest {
	const answerTimeoutMs = pace.stallTimeoutMs;
	if (credential?.kind === 'identity') {
		const form = {grant_type: 'refresh_token', client_id: CLIENT_ID, service: challenge.service, scope: scopes.join(' '), refresh_token: credential.token};
		const headers = {'content-type': 'application/x-www-form-urlencoded'};
		return {method: 'POST', url: realm, headers, body: new URLSearchParams(form).toString(), answerTimeoutMs};
	}
	const url = new URL(realm);
	if (challenge.service !== '') url.searchParams.set('service', challenge.service);
	for (const scope of scopes) url.searchParams.append('scope', scope);
	if (credential === null) return {method: 'GET', url, headers: {}, answerTimeoutMs};
	url.searchParams.set('account', credential.username);
	return {method: 'GET', url, headers: {authorization: toBasic(credential)}, answerTimeoutMs};
}

function parseToken(body: Uint8Array): {readonly token: string | null; readonly expiresInSeconds: number | null} {
	try {
		const value = JSON.parse(Buffer.from(body).toString('utf8')) as Readonly<Record<string, unknown>>;
		const token = value['token'] || value['access_token'];
		const seconds = value['expires_in'];
		return {
			token: typeof token === 'string' && /^[\x21-\x7e]+$/.test(token) ? token : null,
			expiresInSeconds: typeof seconds === 'number' && seconds > 0 && Number.isFinite(seconds) ? seconds : null,
		};
	} catch {
		// Said by the caller: the body itself may hold secrets.
		return {token: null, expiresInSeconds: null};
	}
}
