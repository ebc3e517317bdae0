import {chmod, rm} from 'node:fs/promises';
import {createServer, type Server, type Socket} from 'node:net';
import type {ShimWire} from '../../../proto/shim.js';
import {TtrpcStatusError} from './ttrpc.js';
import {encodeFrame, FrameReader, FrameType, type Frame} from './frames.js';

/** Answers one call. @throws {TtrpcStatusError} what the caller gets; others as a status UNKNOWN with their message. */
export type Serve = (payload: Buffer) => Buffer;
/** By "<service>/<method>". */
export type Services = ReadonlyMap<string, Serve>;

const UNKNOWN = 2;
const UNIMPLEMENTED = 12;

/** A ttrpc server on a unix socket of mode 0600: shims will not start without one to send their events to. */
export class TtrpcServer {
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	private constructor(server: Server) {
		this.#server = server;
		server.on('connection', socket => {
			this.#sockets.add(socket);
			socket.once('close', () => this.#sockets.delete(socket));
		});
	}

	/** Takes the place of a socket that an earlier daemon left. */
	static async listen(path: string, services: Services, wire: ShimWire): Promise<TtrpcServer> {
		await rm(path, {force: true});
		const server = createServer(socket => serveConnection(socket, services, wire));
		const listening = new TtrpcServer(server);
		await new Promise<void>((resolve, reject) => {
			server.once('error', reject);
			server.listen({path}, resolve);
		});
		await chmod(path, 0o600);
		return listening;
	}

	async close(): Promise<void> {
		for (const socket of this.#sockets) socket.destroy();
		await new Promise<void>(resolve => void this.#server.close(() => resolve()));
	}
}

function serveConnection(socket: Socket, services: Services, wire: ShimWire): void {
	const reader = new FrameReader();
	// A peer that goes away in the middle is nobody's concern.
	socket.on('error', () => socket.destroy());
	socket.on('data', (chunk: Buffer) => {
		try {
			for (const frame of reader.push(chunk)) if (frame.type === FrameType.request) socket.write(answer(frame, services, wire));
		} catch {
			// Not ttrpc, or over the limit: there is no frame to answer.
			socket.destroy();
		}
	});
}

function answer({streamId, data}: Frame, services: Services, wire: ShimWire): Buffer {
	const {service, method, payload} = wire.transport.Call.requestDeserialize(data);
	const serve = services.get(`${service}/${method}`);
	const reply = (code: number, message: string, bytes: Buffer): Buffer =>
		encodeFrame({
			streamId,
			type: FrameType.response,
			flags: 0,
			data: wire.transport.Call.responseSerialize({status: {code, message}, payload: bytes}),
		});
	if (serve === undefined) return reply(UNIMPLEMENTED, `${service}/${method} is not served here`, Buffer.alloc(0));
	try {
		return reply(0, '', serve(payload));
	} catch (error) {
		return reply(error instanceof TtrpcStatusError ? error.grpcCode : UNKNOWN, error instanceof Error ? error.message : String(error), Buffer.alloc(0));
	}
}
