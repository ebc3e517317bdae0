import type {Command} from 'commander';
import {openLog} from '../daemon-log.js';
import {toProxyOptions} from './proxy-environment.js';
import {addConfigFlags, loadFlaggedConfig, type ConfigOptions} from './config-flags.js';

/** berth serve: runs the daemon until SIGTERM or SIGINT. Pods go on without it. */
export function addServeCommand(program: Command): void {
	const command = program.command('serve').description('run the daemon');
	addConfigFlags(command).action(async (options: ConfigOptions) => await runDaemon(options));
}

async function runDaemon(options: ConfigOptions): Promise<void> {
	const {config, files} = await loadFlaggedConfig(options);
	const {log, flush} = await openLog(config.log, process.stderr.isTTY === true);
	log.info({files}, 'config read');
	const fail = (what: string, error: unknown): void => {
		log.error({err: error}, what);
		flush();
		process.exit(1);
	};
	// The state of a program after an unforeseen throw is unknown; the next start recovers from journal and monitors.
	process.on('uncaughtException', error => fail('bug: uncaught exception', error));
	process.on('unhandledRejection', error => fail('bug: unhandled rejection', error));
	try {
		// Loaded here, so that the other commands do not load the native addon.
		const {serve} = await import('../main.js');
		const serving = await serve(config, log, {notifySocket: process.env['NOTIFY_SOCKET'] ?? null, proxy: toProxyOptions(process.env)});
		const signal = await untilSignal();
		log.info({signal}, 'berth ends; pods go on');
		await serving.close();
		flush();
		process.exit(0);
	} catch (error) {
		fail('berth cannot serve', error);
	}
}

function untilSignal(): Promise<NodeJS.Signals> {
	return new Promise(resolve => {
		process.once('SIGTERM', resolve);
		process.once('SIGINT', resolve);
	});
}
