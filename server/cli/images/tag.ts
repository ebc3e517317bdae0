import type {TagImageResponse__Output} from '../../../proto/admin.js';
import {ask, openAdminClient, socketPath} from '../client.js';
import {type AddSubcommand, closing, printNamed, type SocketOption} from './command.js';

/** berth images tag */
export function addTagCommand(sub: AddSubcommand): void {
	sub('tag <image> <target>', 'give an image one more tag').action(async (image: string, target: string, {socket}: SocketOption) => {
		using client = closing(openAdminClient(socketPath(socket)));
		const reply = await ask<TagImageResponse__Output>(done => client.TagImage({image, target}, done));
		if (reply.image !== null) printNamed(reply.image);
	});
}
