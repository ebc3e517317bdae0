import type {RemoveImageResponse__Output} from '../../../proto/cri.js';
import {ask, openImageClient, socketPath} from '../client.js';
import {type AddSubcommand, closing, type SocketOption} from './command.js';

/** berth images remove */
export function addRemoveCommand(sub: AddSubcommand): void {
	sub('remove <image...>', 'remove images by name or id, with all of their names').action(async (images: readonly string[], {socket}: SocketOption) => {
		using client = closing(openImageClient(socketPath(socket)));
		for (const image of images) await ask<RemoveImageResponse__Output>(done => client.RemoveImage({image: {image}}, done));
	});
}
