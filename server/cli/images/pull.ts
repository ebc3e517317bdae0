import {systemClock} from '../../../base/clock.js';
import type {ImageStatusResponse__Output, PullImageResponse__Output} from '../../../proto/cri.js';
import {ask, openImageClient, socketPath} from '../client.js';
import {type AddSubcommand, closing, print, type SocketOption} from './command.js';
import {addCredentialFlags, type CredentialFlags, readCredentials} from './credentials.js';
import {type PullInfo, toProgressLine} from './progress-line.js';

const REFRESH_MS = 200;
type ImageClient = ReturnType<typeof openImageClient>;

/** berth images pull */
export function addPullCommand(sub: AddSubcommand): void {
	addCredentialFlags(sub('pull <reference>', 'fetch an image; shows how far it is on a terminal')).action(
		async (reference: string, flags: SocketOption & CredentialFlags) => {
			const auth = await readCredentials(flags);
			using client = closing(openImageClient(socketPath(flags.socket)));
			const ended = new AbortController();
			const shown = process.stderr.isTTY === true ? showProgress(client, reference, ended.signal) : Promise.resolve();
			try {
				const {image_ref: id} = await ask<PullImageResponse__Output>(done => client.PullImage({image: {image: reference}, auth}, done));
				ended.abort();
				await shown;
				print(id);
			} finally {
				ended.abort();
				await shown;
			}
		},
	);
}

/** One line, drawn anew until the pull has ended, then wiped. What cannot be asked is not shown: the pull itself says what is wrong. */
async function showProgress(client: ImageClient, reference: string, ended: AbortSignal): Promise<void> {
	while (!ended.aborted) {
		await systemClock.sleep(REFRESH_MS, ended);
		if (ended.aborted) break;
		try {
			const {info} = await ask<ImageStatusResponse__Output>(done => client.ImageStatus({image: {image: reference}, verbose: true}, done));
			const text = info['pull'];
			if (text !== undefined) process.stderr.write(`\r\x1b[K${toProgressLine(JSON.parse(text) as PullInfo, process.stderr.columns ?? 80)}`);
		} catch {
			break;
		}
	}
	process.stderr.write('\r\x1b[K');
}
