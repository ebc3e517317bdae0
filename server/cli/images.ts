import type {Command} from 'commander';
import {addInspectCommand} from './images/inspect.js';
import {addListCommand} from './images/list.js';
import {addLoadCommand} from './images/load.js';
import {addPruneCommand} from './images/prune.js';
import {addPullCommand} from './images/pull.js';
import {addPushCommand} from './images/push.js';
import {addRemoveCommand} from './images/remove.js';
import {addSaveCommand} from './images/save.js';
import {addTagCommand} from './images/tag.js';

/** berth images: what crictl does not do (load, save, push, tag, prune), and enough besides for a machine without crictl. */
export function addImagesCommand(program: Command): void {
	const images = program.command('images').description('images of the running daemon');
	const sub = (usage: string, what: string): Command => images.command(usage).description(what).option('--socket <path>', 'the CRI socket (or $BERTH_SOCKET)');
	addPullCommand(sub);
	addListCommand(sub);
	addInspectCommand(sub);
	addRemoveCommand(sub);
	addLoadCommand(sub);
	addSaveCommand(sub);
	addPushCommand(sub);
	addTagCommand(sub);
	addPruneCommand(sub);
}
