import type {Command} from 'commander';
import type {PauseResponse__Output, UnpauseResponse__Output} from '../../proto/admin.js';
import {ask, openAdminClient, socketPath} from './client.js';
import {closing, print, type SocketOption} from './images/command.js';

/** berth pause, berth unpause */
export function addPauseCommands(program: Command): void {
	const sub = (usage: string, what: string): Command => program.command(usage).description(what).option('--socket <path>', 'the CRI socket (or $BERTH_SOCKET)');
	sub('pause <id>', 'stop the processes of a container, or of all containers of a pod, where they are').action(async (id: string, {socket}: SocketOption) => {
		using client = closing(openAdminClient(socketPath(socket)));
		const reply = await ask<PauseResponse__Output>(done => client.Pause({id}, done));
		for (const container of reply.container_ids) print(container);
	});
	sub('unpause <id>', 'let a paused container, or all of a pod, go on').action(async (id: string, {socket}: SocketOption) => {
		using client = closing(openAdminClient(socketPath(socket)));
		const reply = await ask<UnpauseResponse__Output>(done => client.Unpause({id}, done));
		for (const container of reply.container_ids) print(container);
	});
}
