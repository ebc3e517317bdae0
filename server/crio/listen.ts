import {ServerCredentials, type Server} from '@grpc/grpc-js';
import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import type {Clock} from '../../base/clock.js';
import type {Logger} from '../../base/log.js';
import {createInspectServer} from './http.js';
import {toPodRoot, type InspectParts} from './inspect.js';
import {openSharedSocket, type SharedSocket} from './shared-socket.js';

/** Where cAdvisor and the kubelet look for CRI-O, by a path that neither can be told. */
const CADVISOR_SOCKETS = ['/var/run/crio/crio.sock', '/run/crio/crio.sock'];

export interface CrioParts {
	readonly runtime: InspectParts;
	readonly grpc: Server;
	readonly clock: Clock;
	readonly log: Logger;
}

/**
 * What listens on the CRI socket in the identity of CRI-O: gRPC calls go to `grpc`, requests of HTTP/1 are answered for cAdvisor.
 * docs/decisions/0035-cadvisor-identity.md.
 */
export async function openCrioSocket({runtime, grpc, clock, log}: CrioParts, socketPath: string): Promise<SharedSocket> {
	if (!CADVISOR_SOCKETS.includes(socketPath))
		log.warn({socket: socketPath}, `identity is "cri-o", but cAdvisor looks for CRI-O at ${CADVISOR_SOCKETS[0]} alone: no metrics of pods but by the CRI`);
	await mkdir(join(toPodRoot(runtime.options), 'diff'), {recursive: true, mode: 0o755});
	const inspect = createInspectServer(runtime, log);
	const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
	const shared = openSharedSocket({http2: socket => injector.injectConnection(socket), http1: socket => void inspect.emit('connection', socket)}, clock);
	const close = (): void => {
		shared.close();
		inspect.close();
		inspect.closeAllConnections();
	};
	return {server: shared.server, close};
}
