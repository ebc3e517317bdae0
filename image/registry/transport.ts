import {setMaxListeners} from 'node:events';
import {Agent, type Dispatcher, ProxyAgent, request} from 'undici';
import {type Clock, systemClock} from '../../base/clock.js';
import type {ImageOptions} from '../image.js';
import {readTls, type TlsMaterial} from './certificates.js';
import type {Endpoint} from './endpoint.js';
import {StallError} from './failure.js';
import {proxyFor} from './proxy.js';
import {Slots} from './slots.js';
import {type Pace, watch} from './watch.js';

/** Chunks of blobs that are read ahead, over all pulls: 6 × 2 MiB bound the memory. */
const READ_AHEAD_CHUNKS = 6;
const KEEP_ALIVE_MS = 20_000;
/** An agent that nobody used for so long is closed when the next one is asked for. */
const MAX_IDLE_MS = 300_000;
const MAX_AGENTS = 64;

export type TransportOptions = Pick<ImageOptions, 'proxy' | 'stallTimeoutMs' | 'minDownloadBytesPerSecond'>;

export interface HttpRequest {
	readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
	readonly url: URL;
	readonly headers: Readonly<Record<string, string | readonly string[]>>;
	readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
	/** Until the answer begins; null = the caller watches. */
	readonly answerTimeoutMs: number | null;
}
export interface HttpAnswer {
	readonly status: number;
	/** By lower-case name; several of a name are one, with ", " between. */
	header(name: string): string;
	/** Watched: stalls end it with a StallError. To be read or destroyed. */
	readonly body: AsyncGenerator<Uint8Array>;
	/** Gives the body up, and the connection if much of it is left. */
	discard(): void;
}

/** The network, shared by all pulls of a store: connections outlive a pull, and read-ahead is bounded over all. */
export class Transport {
	readonly clock: Clock;
	readonly pace: Pace;
	readonly readAhead = new Slots(READ_AHEAD_CHUNKS);
	readonly #proxy: ImageOptions['proxy'];
	readonly #agents = new Map<string, {readonly agent: Dispatcher; usedAtMs: number}>();

	constructor({proxy, stallTimeoutMs, minDownloadBytesPerSecond}: TransportOptions, clock: Clock = systemClock) {
		this.clock = clock;
		this.pace = {stallTimeoutMs, minBytesPerSecond: minDownloadBytesPerSecond};
		this.#proxy = proxy;
	}

	/** Reads the endpoint's certificates. @throws {InvalidArgumentError} one is wrong. */
	async connect(endpoint: Endpoint): Promise<Connections> {
		const {own, forOthers} = await readTls(endpoint.tls);
		const dialTimeoutMs = endpoint.dialTimeoutMs ?? this.pace.stallTimeoutMs;
		return {toDispatcher: url => this.#agentFor(url, url.host === endpoint.base.host ? own : forOthers, dialTimeoutMs)};
	}

	/** One request and the head of its answer. @throws what undici throws; {StallError} no answer in time. */
	async send(connections: Connections, {url, answerTimeoutMs, ...sent}: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
		const stalled = new AbortController();
		const answered = new AbortController();
		if (answerTimeoutMs !== null) {
			void this.clock.sleep(answerTimeoutMs, answered.signal).then(() => {
				if (!answered.signal.aborted) stalled.abort(new StallError(`stalls: no answer for ${answerTimeoutMs} ms`));
			});
		}
		const either = AbortSignal.any([signal, stalled.signal]);
		setMaxListeners(0, either);
		try {
			const response = await request(url, {
				...sent,
				headers: toUndiciHeaders(sent.headers),
				body: (sent.body ?? null) as never,
				signal: either,
				dispatcher: connections.toDispatcher(url),
			});
			return this.#toAnswer(response, sent.method === 'HEAD', stalled);
		} finally {
			answered.abort();
		}
	}

	#toAnswer(response: Dispatcher.ResponseData, isHead: boolean, stalled: AbortController): HttpAnswer {
		const {statusCode: status, headers, body} = response;
		// An aborted body that nobody reads any more must not be an unhandled error.
		body.on('error', () => {});
		return {
			status,
			header: name => {
				const value = headers[name];
				return typeof value === 'string' ? value : (value ?? []).join(', ');
			},
			body: watch(body as AsyncIterable<Uint8Array>, this.pace, this.clock, error => stalled.abort(error)),
			discard: () => {
				// What is short is read to the end in the background, so that the connection can be used again.
				if (!isHead && Number(headers['content-length'] ?? Infinity) > 65_536) body.destroy();
				else void drain(watch(body as AsyncIterable<Uint8Array>, this.pace, this.clock, error => stalled.abort(error)));
			},
		};
	}

	#agentFor(url: URL, tls: TlsMaterial, dialTimeoutMs: number): Dispatcher {
		const proxy = proxyFor(url, this.#proxy);
		const usesTls = url.protocol === 'https:' || proxy?.startsWith('https:') === true;
		const key = JSON.stringify([usesTls ? tls.fingerprint : null, dialTimeoutMs, proxy]);
		const found = this.#agents.get(key);
		const nowMs = this.clock.monotonicMs();
		if (found !== undefined) {
			found.usedAtMs = nowMs;
			return found.agent;
		}
		this.#dropIdle(nowMs);
		const agent = toAgent(usesTls ? tls : null, dialTimeoutMs, proxy);
		this.#agents.set(key, {agent, usedAtMs: nowMs});
		return agent;
	}

	#dropIdle(nowMs: number): void {
		const byAge = [...this.#agents].sort(([, a], [, b]) => a.usedAtMs - b.usedAtMs);
		for (const [index, [key, {agent, usedAtMs}]] of byAge.entries()) {
			if (nowMs - usedAtMs < MAX_IDLE_MS && byAge.length - index < MAX_AGENTS) continue;
			this.#agents.delete(key);
			// Lets what is still under way come to its end.
			void agent.close().catch(() => {});
		}
	}
}

/** One endpoint's connections. Its client certificate is for its own host only. */
export interface Connections {
	toDispatcher(url: URL): Dispatcher;
}

const transports = new WeakMap<TransportOptions, Transport>();

/** The transport of a store, whose options are one object from its opening to its end. */
export function sharedTransport(options: TransportOptions): Transport {
	const found = transports.get(options) ?? new Transport(options);
	transports.set(options, found);
	return found;
}

function toAgent(tls: TlsMaterial | null, dialTimeoutMs: number, proxy: string | null): Dispatcher {
	const secureContext = tls?.toContext();
	const trust = secureContext === undefined ? {} : {secureContext, rejectUnauthorized: tls?.skipVerify !== true};
	const connect = {timeout: dialTimeoutMs, ...trust};
	// Time-outs are watch()'s. HTTP/1.1: one connection per chunk, and a stuck one holds up nobody else.
	const options = {allowH2: false, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS, keepAliveMaxTimeout: KEEP_ALIVE_MS * 3};
	if (proxy === null) return new Agent({...options, connect});
	const proxyTls = {timeout: dialTimeoutMs, ...(secureContext === undefined ? {} : {secureContext})};
	return new ProxyAgent({...options, uri: proxy, connectTimeout: dialTimeoutMs, requestTls: connect, proxyTls});
}

function toUndiciHeaders(headers: HttpRequest['headers']): Record<string, string | string[]> {
	return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]));
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<void> {
	try {
		for await (const _ of body);
	} catch {
		// The exchange is over in either case.
	}
}
