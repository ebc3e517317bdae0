import {NotFoundError} from '../../../base/errors.js';
import type {ImageStatusResponse__Output} from '../../../proto/cri.js';
import {ask, openImageClient, socketPath} from '../client.js';
import {type AddSubcommand, closing, print, type SocketOption} from './command.js';

/** berth images inspect */
export function addInspectCommand(sub: AddSubcommand): void {
	sub('inspect <image>', 'config, layers and manifest as JSON; of an image being pulled, how far it is').action(
		async (image: string, {socket}: SocketOption) => {
			using client = closing(openImageClient(socketPath(socket)));
			const reply = await ask<ImageStatusResponse__Output>(done => client.ImageStatus({image: {image}, verbose: true}, done));
			const info = Object.fromEntries(Object.entries(reply.info).map(([key, text]) => [key, JSON.parse(text) as unknown]));
			if (reply.image === null && info['pull'] === undefined) throw new NotFoundError('image', image);
			print(JSON.stringify({status: reply.image, ...info}, null, 2));
		},
	);
}
