import type {Command} from 'commander';
import {DEFAULT_CONFIG_PATH, loadConfig, type LoadedConfig} from '../config.js';

/** What commander makes of the flags below. */
export interface ConfigOptions {
	readonly config?: string;
	readonly socket?: string;
	readonly rootDir?: string;
	readonly runDir?: string;
	readonly logLevel?: string;
}

/** The flags that say what the daemon's config is. */
export function addConfigFlags(command: Command): Command {
	return command
		.option('--config <file>', `TOML file; <file>.d/*.toml are read after it (default: ${DEFAULT_CONFIG_PATH}, which may be missing)`)
		.option('--socket <path>', 'the CRI socket')
		.option('--root-dir <path>', 'persistent state')
		.option('--run-dir <path>', 'volatile state')
		.option('--log-level <level>', 'debug, info, warn or error');
}

export async function loadFlaggedConfig(options: ConfigOptions): Promise<LoadedConfig> {
	return await loadConfig(options.config ?? null, {
		socket: options.socket,
		root_dir: options.rootDir,
		run_dir: options.runDir,
		log_level: options.logLevel,
	});
}
