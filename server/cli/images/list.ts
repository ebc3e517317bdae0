import {InvalidArgumentError} from '../../../base/errors.js';
import type {ListImagesResponse__Output} from '../../../proto/cri.js';
import {ask, openImageClient, socketPath} from '../client.js';
import {type AddSubcommand, closing, print, type SocketOption, toSize} from './command.js';

const ID_LENGTH = 'sha256:'.length + 12;

/** berth images list */
export function addListCommand(sub: AddSubcommand): void {
	sub('list', 'id, size and names')
		.option('-o, --output <format>', 'table or json', 'table')
		.action(async ({socket, output}: SocketOption & {readonly output: string}) => {
			if (output !== 'table' && output !== 'json') throw new InvalidArgumentError(`--output must be table or json, is ${output}`);
			using client = closing(openImageClient(socketPath(socket)));
			const {images} = await ask<ListImagesResponse__Output>(done => client.ListImages({}, done));
			if (output === 'json') return print(JSON.stringify(images, null, 2));
			print(`${'IMAGE ID'.padEnd(ID_LENGTH)}  ${'SIZE'.padStart(9)}  NAMES`);
			for (const {id, size, pinned, repo_tags: tags, repo_digests: digests} of images)
				print(
					`${id.slice(0, ID_LENGTH)}  ${toSize(Number(size)).padStart(9)}  ${(tags.length > 0 ? tags : digests).join(' ')}${pinned ? ' (pinned)' : ''}`.trimEnd(),
				);
		});
}
