import {resolve} from 'node:path';
import type {LoadImageResponse__Output} from '../../../proto/admin.js';
import {ask, openAdminClient, socketPath} from '../client.js';
import {type AddSubcommand, closing, printNamed, type SocketOption} from './command.js';

/** berth images load */
export function addLoadCommand(sub: AddSubcommand): void {
	sub('load <path>', 'add the images of an OCI layout (directory or tar) or docker archive').action(async (path: string, {socket}: SocketOption) => {
		using client = closing(openAdminClient(socketPath(socket)));
		const {images} = await ask<LoadImageResponse__Output>(done => client.LoadImage({path: resolve(path)}, done));
		for (const image of images) printNamed(image);
	});
}
