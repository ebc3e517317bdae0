import {Server} from '@grpc/grpc-js';
import {loadAdmin, loadCri} from '../proto/loader.js';
import {adminService} from './admin-service/service.js';
import type {Daemon} from './call.js';
import {MAX_MESSAGE_BYTES} from './grpc.js';
import {imageService} from './image-service/service.js';
import {runtimeService} from './runtime-service/service.js';

/** A server with the CRI's two services and berth's own, not yet bound. */
export function createGrpcServer(daemon: Daemon): Server {
	const server = new Server({'grpc.max_receive_message_length': MAX_MESSAGE_BYTES, 'grpc.max_send_message_length': MAX_MESSAGE_BYTES});
	const cri = loadCri();
	server.addService(cri.RuntimeService.service, runtimeService(daemon));
	server.addService(cri.ImageService.service, imageService(daemon));
	server.addService(loadAdmin().Admin.service, adminService(daemon));
	return server;
}

/**
 * Stops taking calls, gives those in flight `graceMs` milliseconds, then cuts them: their handlers' signals abort.
 *
 * @param sleep Of the clock.
 */
export async function shutDown(server: Server, graceMs: number, sleep: (ms: number, signal: AbortSignal) => Promise<void>): Promise<void> {
	const done = new AbortController();
	const drained = new Promise<void>(resolve => server.tryShutdown(() => resolve()));
	await Promise.race([drained, sleep(graceMs, done.signal)]);
	done.abort();
	server.forceShutdown();
}
