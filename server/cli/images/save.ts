import {resolve} from 'node:path';
import type {SaveImagesResponse__Output} from '../../../proto/admin.js';
import {ask, openAdminClient, socketPath} from '../client.js';
import {type AddSubcommand, closing, printNamed, type SocketOption} from './command.js';

/** berth images save */
export function addSaveCommand(sub: AddSubcommand): void {
	sub('save <path> <image...>', 'write images to a tar or directory')
		.option('-f, --format <format>', 'oci-archive, oci-dir or docker-archive', 'oci-archive')
		.action(async (path: string, images: readonly string[], {socket, format}: SocketOption & {readonly format: string}) => {
			using client = closing(openAdminClient(socketPath(socket)));
			const saved = await ask<SaveImagesResponse__Output>(done => client.SaveImages({images: [...images], path: resolve(path), format}, done));
			for (const image of saved.images) printNamed(image);
		});
}
