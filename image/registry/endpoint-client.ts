import {collect, follow, type FollowedAnswer, type Hop} from './follow.js';
import {EndpointFailure} from './failure.js';
import type {Endpoint} from './endpoint.js';
import {retryAfterMs} from './retry-after.js';
import {Authorizer, type AuthorizerParts} from './token.js';
import type {HttpRequest, Transport} from './transport.js';

const MAX_ERROR_BYTES = 8192;

export interface EndpointClientParts {
	readonly endpoint: Endpoint;
	readonly transport: Transport;
	/** "library/busybox" */
	readonly repository: string;
	/** Told to a host that is not the registry: "docker.io"; null for the registry itself. */
	readonly namespace: string | null;
	readonly scope: string;
	readonly findCredential: AuthorizerParts['findCredential'];
}

/** One endpoint during one pull or push: its connections and its authorization. */
export class EndpointClient {
	readonly endpoint: Endpoint;
	readonly #parts: EndpointClientParts;
	#hop: Promise<Hop> | null = null;
	#authorizer: Authorizer | null = null;

	constructor(parts: EndpointClientParts) {
		this.endpoint = parts.endpoint;
		this.#parts = parts;
	}

	get host(): string {
		return this.endpoint.base.host;
	}

	/** Of a resource of the repository: "manifests/latest". */
	toUrl(path: string): URL {
		const url = new URL(`${this.#parts.repository}/${path}`, this.endpoint.base);
		if (this.#parts.namespace !== null) url.searchParams.set('ns', this.#parts.namespace);
		return url;
	}

	/**
	 * One request, with at most one new token in between.
	 *
	 * A body that is a stream cannot be sent again: there a 401 renews the token and is a failure for which another try helps.
	 *
	 * @throws {EndpointFailure} an answer outside of `expected`. Else what Transport.send throws.
	 */
	async request(
		request: Omit<HttpRequest, 'answerTimeoutMs'> & Partial<HttpRequest>,
		expected: readonly number[],
		signal: AbortSignal,
	): Promise<FollowedAnswer> {
		const hop = await (this.#hop ??= this.#connect());
		const authorizer = (this.#authorizer ??= new Authorizer({...this.#parts, hop, base: this.endpoint.base}));
		const send = async (authorization: string | null): Promise<FollowedAnswer> => {
			// Not to a host that a blob was once redirected to.
			const own = authorization === null || request.url.origin !== this.endpoint.base.origin ? {} : {authorization};
			const headers = {...request.headers, ...own};
			return await follow(hop, {answerTimeoutMs: hop.transport.pace.stallTimeoutMs, ...request, headers}, signal);
		};
		const first = authorizer.current();
		let answer = await send(first);
		if (answer.status === 401 && answer.url.origin === this.endpoint.base.origin) {
			answer.discard();
			const renewed = await authorizer.renew(first, answer.header('www-authenticate'), signal);
			if (isStream(request.body)) throw new EndpointFailure('unavailable', 'wants a new token for an upload', {isTransient: true});
			answer = await send(renewed);
		}
		if (expected.includes(answer.status)) return answer;
		throw await this.#toFailure(answer);
	}

	async #connect(): Promise<Hop> {
		const {endpoint, transport} = this.#parts;
		return {transport, connections: await transport.connect(endpoint), origin: endpoint.base.origin, headers: endpoint.headers};
	}

	async #toFailure(answer: FollowedAnswer): Promise<EndpointFailure> {
		const {status, url} = answer;
		const code = await readErrorCode(answer);
		const reason = `${url.host === this.host ? '' : `${url.host} `}answers ${status}${code === '' ? '' : ` ${code}`}`;
		if (status === 404) return new EndpointFailure('missing', reason);
		if (status === 401 || status === 403) return new EndpointFailure('denied', reason);
		if (status === 416) return new EndpointFailure('corrupt', `${reason}: has less than was asked for`);
		const isTransient = status === 429 || status === 408 || status >= 500;
		const waitMs = status === 429 || status === 503 ? retryAfterMs(answer.header('retry-after'), this.#parts.transport.clock) : null;
		return new EndpointFailure('unavailable', reason, {isTransient, retryAfterMs: waitMs});
	}
}

function isStream(body: HttpRequest['body']): boolean {
	return body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array);
}

/** "MANIFEST_UNKNOWN" (distribution-spec, "Error Codes"); '' when there is none. The message beside it is left out: it is anybody's text. */
async function readErrorCode(answer: FollowedAnswer): Promise<string> {
	try {
		const value = JSON.parse(Buffer.from(await collect(answer, MAX_ERROR_BYTES, 'error')).toString('utf8')) as {
			readonly errors?: readonly {readonly code?: unknown}[];
		};
		const code = value.errors?.[0]?.code;
		return typeof code === 'string' && /^[A-Z_]{1,64}$/.test(code) ? code : '';
	} catch {
		return '';
	}
}
