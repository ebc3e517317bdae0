import {credentials, status, type ServiceError} from '@grpc/grpc-js';
import {loadAdmin, loadCri} from '../../proto/loader.js';
import {KEYS} from '../config-schema.js';
import {MAX_MESSAGE_BYTES} from '../grpc.js';

/** Where the daemon is looked for: --socket, then $BERTH_SOCKET, then the default. */
export function socketPath(flag: string | undefined): string {
	return flag ?? process.env['BERTH_SOCKET'] ?? KEYS.socket.default;
}

export function openImageClient(path: string) {
	return new (loadCri().ImageService)(`unix:${path}`, credentials.createInsecure(), {'grpc.max_receive_message_length': MAX_MESSAGE_BYTES});
}

export function openAdminClient(path: string) {
	return new (loadAdmin().Admin)(`unix:${path}`, credentials.createInsecure(), {'grpc.max_receive_message_length': MAX_MESSAGE_BYTES});
}

/** One unary call: `ask(done => client.ListImages({}, done))`. @throws {Error} the daemon's own words. */
export async function ask<T>(call: (done: (error: ServiceError | null, reply?: T) => void) => unknown): Promise<T> {
	return await new Promise((resolve, reject) => {
		call((error, reply) => {
			if (error === null && reply !== undefined) resolve(reply);
			else reject(new Error(error === null ? 'no reply' : describe(error)));
		});
	});
}

/** grpc-js tells of a socket without a daemon in its own words; the rest is the daemon's. */
function describe(error: ServiceError): string {
	const nobody = error.code === status.UNAVAILABLE && error.details.startsWith('No connection established');
	return nobody ? `no daemon answers: ${/connect \S+ \S+/.exec(error.details)?.[0] ?? error.details}` : error.details;
}
