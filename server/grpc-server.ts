import {Server} from '@grpc/grpc-js';
import type {SecureServerOptions} from 'node:http2';
import {loadAdmin, loadCri} from '../proto/loader.js';
import {adminService} from './admin-service/service.js';
import type {Daemon} from './call.js';
import {MAX_MESSAGE_BYTES} from './grpc.js';
import {imageService} from './image-service/service.js';
import {runtimeService} from './runtime-service/service.js';

/** A server with the CRI's two services and berth's own, not yet bound. */
export function createGrpcServer(daemon: Daemon): Server {
	const server = new Server({'grpc.max_receive_message_length': MAX_MESSAGE_BYTES, 'grpc.max_send_message_length': MAX_MESSAGE_BYTES});
	allowCancelledCalls(server);
	const cri = loadCri();
	server.addService(cri.RuntimeService.service, runtimeService(daemon));
	server.addService(cri.ImageService.service, imageService(daemon));
	server.addService(loadAdmin().Admin.service, adminService(daemon));
	return server;
}

/**
 * nghttp2 ends the connection of a client that cancels more than 1,000 calls at once or 33 a second (its guard against CVE-2023-44487), and
 * with it all other calls in flight. The socket's clients are root and its group, and a kubelet that gives up many calls is not an attack.
 * grpc-js has no option for it; what it hands to http2.createServer is private.
 */
function allowCancelledCalls(server: Server): void {
	const {commonServerOptions} = server as unknown as {readonly commonServerOptions: SecureServerOptions};
	commonServerOptions.streamResetBurst = 1_000_000;
	commonServerOptions.streamResetRate = 100_000;
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
