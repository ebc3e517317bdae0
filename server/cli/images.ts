import {resolve} from 'node:path';
import type {Command} from 'commander';
import type {ListImagesResponse__Output, PullImageResponse__Output, RemoveImageResponse__Output} from '../../proto/cri.js';
import type {LoadImageResponse__Output} from '../../proto/admin.js';
import {ask, openAdminClient, openImageClient, socketPath} from './client.js';

interface SocketOption {
	readonly socket?: string;
}

/** berth images: what crictl does not do (load), and enough besides for a machine without crictl. */
export function addImagesCommand(program: Command): void {
	const command = program.command('images').description('images of the running daemon');
	const sub = (usage: string, what: string): Command => command.command(usage).description(what).option('--socket <path>', 'the CRI socket (or $BERTH_SOCKET)');
	sub('load <path>', 'add the images of an OCI layout (directory or tar) or docker archive').action(
		async (path: string, {socket}: SocketOption) => await load(socketPath(socket), path),
	);
	sub('list', 'id, size and names').action(async ({socket}: SocketOption) => await list(socketPath(socket)));
	sub('pull <reference>', 'fetch an image').action(async (reference: string, {socket}: SocketOption) => await pull(socketPath(socket), reference));
	sub('remove <reference...>', 'remove images by name or id').action(
		async (references: readonly string[], {socket}: SocketOption) => await remove(socketPath(socket), references),
	);
}

async function load(socket: string, path: string): Promise<void> {
	using client = closing(openAdminClient(socket));
	const {images} = await ask<LoadImageResponse__Output>(done => client.LoadImage({path: resolve(path)}, done));
	for (const {id, repo_tags: tags} of images) print(`${id} ${tags.join(' ')}`.trimEnd());
}

async function list(socket: string): Promise<void> {
	using client = closing(openImageClient(socket));
	const {images} = await ask<ListImagesResponse__Output>(done => client.ListImages({}, done));
	for (const {id, size, repo_tags: tags, repo_digests: digests} of images) {
		print(`${id.slice(0, 'sha256:'.length + 12)}  ${(Number(size) / 1e6).toFixed(1).padStart(8)} MB  ${(tags.length > 0 ? tags : digests).join(' ')}`);
	}
}

async function pull(socket: string, reference: string): Promise<void> {
	using client = closing(openImageClient(socket));
	const {image_ref: id} = await ask<PullImageResponse__Output>(done => client.PullImage({image: {image: reference}}, done));
	print(id);
}

async function remove(socket: string, references: readonly string[]): Promise<void> {
	using client = closing(openImageClient(socket));
	for (const reference of references) await ask<RemoveImageResponse__Output>(done => client.RemoveImage({image: {image: reference}}, done));
}

function closing<T extends {close(): void}>(client: T): T & Disposable {
	return Object.assign(client, {[Symbol.dispose]: () => client.close()});
}

function print(line: string): void {
	process.stdout.write(`${line}\n`);
}
