import {EndpointFailure} from './failure.js';
import type {Connections, HttpAnswer, HttpRequest, Transport} from './transport.js';

const MAX_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];
/** A kept-alive connection that the server closed just as it was used again. */
const CLOSED_CODES = ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'];

export interface Hop {
	readonly transport: Transport;
	readonly connections: Connections;
	/** The endpoint's, "https://quay.io": only it gets the headers. */
	readonly origin: string;
	readonly headers: Readonly<Record<string, readonly string[]>>;
}
export interface FollowedAnswer extends HttpAnswer {
	/** Where it came from in the end. */
	readonly url: URL;
}

/**
 * Sends, and follows redirects of GET and HEAD. Authorization and the endpoint's headers never go to another host.
 *
 * @throws {EndpointFailure} too many redirects, one to no http URL, or one from https to http. Else what Transport.send throws.
 */
export async function follow(hop: Hop, request: HttpRequest, signal: AbortSignal): Promise<FollowedAnswer> {
	let {url} = request;
	let headers = request.headers;
	for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
		const own = url.origin === hop.origin ? hop.headers : {};
		const answer = await sendOnceMore(hop, {...request, url, headers: {...own, ...headers, 'accept-encoding': 'identity', 'user-agent': 'berth'}}, signal);
		const canFollow = request.method === 'GET' || request.method === 'HEAD';
		if (!canFollow || !REDIRECTS.includes(answer.status)) return {...answer, url};
		answer.discard();
		const next = toNext(url, answer.header('location'));
		if (next.origin !== url.origin) headers = withoutAuthorization(headers);
		url = next;
	}
	throw new EndpointFailure('unavailable', `redirects more than ${MAX_REDIRECTS} times`);
}

async function sendOnceMore({transport, connections}: Hop, request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
	try {
		return await transport.send(connections, request, signal);
	} catch (error) {
		const isSafe = request.method === 'GET' || request.method === 'HEAD';
		if (signal.aborted || !isSafe || !CLOSED_CODES.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
		return await transport.send(connections, request, signal);
	}
}

/** Where a Location leads. @throws {EndpointFailure} to no http URL, or from https to plain http. */
export function toNext(from: URL, location: string): URL {
	const next = URL.parse(location, from.href);
	if (location === '' || next === null || (next.protocol !== 'https:' && next.protocol !== 'http:'))
		throw new EndpointFailure('denied', `redirects to ${JSON.stringify(location.slice(0, 200))}, which is no http URL`);
	if (from.protocol === 'https:' && next.protocol === 'http:') throw new EndpointFailure('denied', `redirects from https to plain http (${next.host})`);
	if (next.username !== '' || next.password !== '') throw new EndpointFailure('denied', `redirects to ${next.host} with credentials in the URL`);
	return next;
}

function withoutAuthorization(headers: HttpRequest['headers']): HttpRequest['headers'] {
	return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'authorization'));
}

/** All of a body. @throws {EndpointFailure} it is longer than `maxBytes`, said or unsaid. Whatever the body throws. */
export async function collect(answer: HttpAnswer, maxBytes: number, what: string): Promise<Uint8Array> {
	const tooLong = (): EndpointFailure => new EndpointFailure('corrupt', `sends a ${what} longer than ${maxBytes} bytes`);
	if (Number(answer.header('content-length')) > maxBytes) {
		answer.discard();
		throw tooLong();
	}
	const pieces: Uint8Array[] = [];
	let length = 0;
	for await (const piece of answer.body) {
		length += piece.length;
		if (length > maxBytes) throw tooLong();
		pieces.push(piece);
	}
	return Buffer.concat(pieces);
}
