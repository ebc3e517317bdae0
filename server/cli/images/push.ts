import type {PushImageResponse__Output} from '../../../proto/admin.js';
import {ask, openAdminClient, socketPath} from '../client.js';
import {type AddSubcommand, closing, print, type SocketOption, toSize} from './command.js';
import {addCredentialFlags, type CredentialFlags, readCredentials} from './credentials.js';

/** berth images push */
export function addPushCommand(sub: AddSubcommand): void {
	addCredentialFlags(sub('push <image> [target]', 'send an image to a registry, by its own name or another')).action(
		async (image: string, target: string | undefined, flags: SocketOption & CredentialFlags) => {
			const credentials = await readCredentials(flags);
			using client = closing(openAdminClient(socketPath(flags.socket)));
			const pushed = await ask<PushImageResponse__Output>(done => client.PushImage({image, target: target ?? '', credentials}, done));
			print(`${pushed.reference} (${toSize(Number(pushed.sent_bytes))} sent)`);
		},
	);
}
