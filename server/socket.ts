import {ServerCredentials, type Server} from '@grpc/grpc-js';
import {chmod, lstat, mkdir, mkdtemp, rename, rm} from 'node:fs/promises';
import {createConnection, type Server as NetServer} from 'node:net';
import {dirname, join} from 'node:path';
import {InvalidArgumentError, UnavailableError} from '../base/errors.js';

/** sun_path of unix(7) is 108 bytes with its NUL. */
const MAX_SOCKET_PATH_BYTES = 107;

/** "/.bXXXXXX/s", see bindSocket. */
const PRIVATE_PART_BYTES = 11;

/** The kubelet runs as root; the group may be given to crictl's users. */
const SOCKET_MODE = 0o660;

/**
 * Listens on a unix socket of mode 0660. Makes its directory (0755) when missing; replaces a socket that a dead daemon left.
 *
 * It is bound within a directory of mode 0700, and moved when its mode is set: else anybody could connect in the moment before.
 *
 * @throws {InvalidArgumentError} the path is too long, or something else than a socket lies there. {UnavailableError} a daemon answers on it.
 */
export async function bindSocket(server: Server | NetServer, path: string): Promise<void> {
	const directory = dirname(path);
	if (Math.max(Buffer.byteLength(path), Buffer.byteLength(directory) + PRIVATE_PART_BYTES) > MAX_SOCKET_PATH_BYTES) {
		throw new InvalidArgumentError(`socket: ${path} is longer than ${MAX_SOCKET_PATH_BYTES} bytes, which unix(7) does not allow`, {field: 'socket'});
	}
	await mkdir(directory, {recursive: true, mode: 0o755});
	await assertFree(path);
	const privateDirectory = await mkdtemp(join(directory, '.b'));
	try {
		const bound = join(privateDirectory, 's');
		await bind(server, bound);
		await chmod(bound, SOCKET_MODE);
		await rename(bound, path);
	} finally {
		await rm(privateDirectory, {recursive: true, force: true});
	}
}

async function bind(server: Server | NetServer, path: string): Promise<void> {
	await new Promise<void>((resolve, reject) => {
		if ('bindAsync' in server) server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), error => (error === null ? resolve() : reject(error)));
		else server.once('error', reject).listen({path}, resolve);
	});
}

async function assertFree(path: string): Promise<void> {
	const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
		if (error.code === 'ENOENT') return null;
		throw error;
	});
	if (found === null) return;
	if (!found.isSocket()) throw new InvalidArgumentError(`socket: ${path} exists and is not a socket`, {field: 'socket', path});
	if (await answers(path)) throw new UnavailableError(`another daemon answers on ${path}`, {path});
}

/** Whether somebody listens: a full backlog (EAGAIN) is somebody too. */
async function answers(path: string): Promise<boolean> {
	return await new Promise(resolve => {
		const connection = createConnection(path);
		connection.once('connect', () => {
			connection.destroy();
			resolve(true);
		});
		connection.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'));
	});
}
