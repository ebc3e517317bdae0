import type {IncomingMessage} from 'node:http';
import type {Duplex} from 'node:stream';
import {WebSocketServer, type WebSocket} from 'ws';

/** A larger message ends the connection: it is held whole before it is passed on. As large as the CRI's own messages may be. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

export interface Upgrading {
	readonly request: IncomingMessage;
	readonly socket: Duplex;
	/** What the HTTP parser read beyond the request. */
	readonly head: Buffer;
}

/** Answers requests that `negotiate` has found to be good WebSocket handshakes. */
export class WebSocketAcceptor {
	readonly #chosen = new WeakMap<IncomingMessage, string>();
	readonly #server = new WebSocketServer({noServer: true, clientTracking: false, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES});

	constructor() {
		this.#server.on('headers', (headers: string[], request: IncomingMessage) => {
			const subprotocol = this.#chosen.get(request) ?? '';
			if (subprotocol !== '') headers.push(`Sec-WebSocket-Protocol: ${subprotocol}`);
		});
	}

	/**
	 * @param subprotocol As agreed; '' = the client named none.
	 * @param use Called at once, as messages may follow in the same turn; not at all when the client is gone.
	 */
	accept({request, socket, head}: Upgrading, subprotocol: string, use: (socket: WebSocket) => void): void {
		// ws takes only names that are tokens (RFC 9110, 5.6.2), and Kubernetes' tunnel has a slash: so ws does not see them.
		delete request.headers['sec-websocket-protocol'];
		this.#chosen.set(request, subprotocol);
		this.#server.handleUpgrade(request, socket, head, use);
	}
}
