import {Command} from 'commander';
import {addConfigCommand} from './config.js';
import {addImagesCommand} from './images.js';
import {addPauseCommands} from './pause.js';
import {addServeCommand} from './serve.js';
import {addVersionCommand} from './version.js';

/** The entry of bin/berth. */
const program = new Command('berth').description('A container runtime service for Kubernetes nodes').showHelpAfterError().exitOverride();
addServeCommand(program);
addConfigCommand(program);
addImagesCommand(program);
addPauseCommands(program);
addVersionCommand(program);

try {
	await program.parseAsync();
} catch (error) {
	// Commander has printed its own errors, and --help is one of them.
	const known = error as {readonly exitCode?: unknown; readonly message: string};
	if (typeof known.exitCode === 'number') process.exitCode = known.exitCode;
	else {
		process.stderr.write(`berth: ${known.message}\n`);
		process.exitCode = 1;
	}
}
