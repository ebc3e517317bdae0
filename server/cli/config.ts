import type {Command} from 'commander';
import {defaultToml, toToml} from '../config-text.js';
import {addConfigFlags, loadFlaggedConfig, type ConfigOptions} from './config-flags.js';

/** berth config: what may be configured, what is, and whether it is right. */
export function addConfigCommand(program: Command): void {
	const command = program.command('config').description('show or check the configuration');
	command
		.command('default')
		.description('every key with its meaning and default')
		.action(() => void process.stdout.write(defaultToml()));
	addConfigFlags(command.command('show').description('what berth serve would use')).action(async (options: ConfigOptions) => {
		process.stdout.write(toToml((await loadFlaggedConfig(options)).config));
	});
	addConfigFlags(command.command('validate').description('check the files and name the first mistake')).action(async (options: ConfigOptions) => {
		const {files} = await loadFlaggedConfig(options);
		process.stdout.write(files.length === 0 ? 'no config file: the defaults hold\n' : `${files.join('\n')}\nvalid\n`);
	});
}
