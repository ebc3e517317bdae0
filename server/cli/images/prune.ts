import type {PruneImagesResponse__Output} from '../../../proto/admin.js';
import {ask, openAdminClient, socketPath} from '../client.js';
import {type AddSubcommand, closing, print, printNamed, type SocketOption, toSize} from './command.js';

/** berth images prune */
export function addPruneCommand(sub: AddSubcommand): void {
	sub('prune', 'remove images without a tag that no container uses')
		.option('--all', 'also images that have a tag', false)
		.action(async ({socket, all}: SocketOption & {readonly all: boolean}) => {
			using client = closing(openAdminClient(socketPath(socket)));
			const {removed, freed_bytes: freedBytes} = await ask<PruneImagesResponse__Output>(done => client.PruneImages({all}, done));
			for (const image of removed) printNamed(image);
			print(`${removed.length} removed, ${toSize(Number(freedBytes))} freed`);
		});
}
