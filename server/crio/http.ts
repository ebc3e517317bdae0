import {createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse} from 'node:http';
import type {Logger} from '../../base/log.js';
import {findContainerInfo, toCrioInfo, type InspectParts} from './inspect.js';

/** As the streaming server has it. */
const HEAD_TIMEOUT_MS = 10_000;

function toLimits(timeoutMs: number): ServerOptions {
	return {requestTimeout: timeoutMs, headersTimeout: timeoutMs, keepAliveTimeout: timeoutMs, connectionsCheckingInterval: 1000, maxHeaderSize: 8192};
}

/**
 * What of CRI-O's HTTP interface cAdvisor needs: GET /info and GET /containers/<id>. Connections are given to it by emitting 'connection'; it listens nowhere.
 *
 * @see cri-o, server/inspect.go.
 */
export function createInspectServer(parts: InspectParts, log: Logger, timeoutMs = HEAD_TIMEOUT_MS): Server {
	const server = createServer(toLimits(timeoutMs), (request, response) => {
		try {
			answer(parts, request, response);
		} catch (error) {
			log.error({err: error, url: request.url}, 'inspect request failed');
			sendText(response, 500, 'internal error');
		}
	});
	// It never listens, for which node starts the timer that looks after the timeouts.
	server.emit('listening');
	return server;
}

function answer(parts: InspectParts, request: IncomingMessage, response: ServerResponse): void {
	request.resume();
	if (request.method !== 'GET' && request.method !== 'HEAD') return sendText(response, 405, 'only GET is served', {Allow: 'GET, HEAD'});
	const [path = ''] = (request.url ?? '').split('?', 1);
	if (path === '/info') return sendJson(response, toCrioInfo(parts));
	const [, id] = /^\/containers\/([^/]+)$/.exec(path) ?? [];
	if (id === undefined) return sendText(response, 404, 'berth serves /info and /containers/<id> of the interface of CRI-O');
	const info = /^[\da-f]{64}$/.test(id) ? findContainerInfo(parts, id) : null;
	if (info === null) sendText(response, 404, `can't find the container with id ${id}`);
	else sendJson(response, info);
}

function sendJson(response: ServerResponse, body: object): void {
	send(response, {code: 200, type: 'application/json', body: JSON.stringify(body)});
}

function sendText(response: ServerResponse, code: number, text: string, headers: Readonly<Record<string, string>> = {}): void {
	send(response, {code, type: 'text/plain; charset=utf-8', body: `${text}\n`, headers});
}

interface Answer {
	readonly code: number;
	readonly type: string;
	readonly body: string;
	readonly headers?: Readonly<Record<string, string>>;
}

function send(response: ServerResponse, {code, type, body, headers}: Answer): void {
	response.writeHead(code, {'Content-Type': type, 'Content-Length': Buffer.byteLength(body), 'X-Content-Type-Options': 'nosniff', ...headers});
	response.end(body);
}
