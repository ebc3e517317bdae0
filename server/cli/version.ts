import type {Command} from 'commander';
import {readVersion} from '../version.js';

export function addVersionCommand(program: Command): void {
	program
		.command('version')
		.description('versions of berth and its Node')
		.action(async () => void process.stdout.write(`berth ${await readVersion()} (CRI v1, Node ${process.version})\n`));
}
