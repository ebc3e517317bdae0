import {join} from 'node:path';
import {InvalidArgumentError} from '../../base/errors.js';
import type {ImageConfig} from '../../image/image.js';
import type {ContainerConfig__Output} from '../../proto/cri.js';

/** linux/limits.h, the NUL counted. */
const PATH_MAX = 4096;
const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * argv. `command` replaces the image's entrypoint and drops its cmd; `args` replaces its cmd.
 *
 * @throws {InvalidArgumentError} neither config nor image has anything to run.
 * @see api.proto, ContainerConfig.command; image-spec config.md.
 */
export function toArgs(config: ContainerConfig__Output, image: ImageConfig): readonly string[] {
	const entrypoint = config.command.length > 0 ? config.command : image.entrypoint;
	const cmd = config.args.length > 0 || config.command.length > 0 ? config.args : image.cmd;
	const args = [...entrypoint, ...cmd];
	if (args.length === 0 || args[0] === '')
		throw new InvalidArgumentError('no command: command and args are empty, and so are entrypoint and cmd of the image', {field: 'command'});
	return args;
}

/** Where an environment comes from besides config and image. */
export interface EnvSources {
	readonly hostname: string;
	/** "NAME=value" of CDI devices. */
	readonly cdi: readonly string[];
}

/** Later ones win: PATH's default, TERM with a terminal, HOSTNAME, the image's, the config's, the CDI devices'. Values are bytes: they need not be UTF-8. */
export function toEnv(config: ContainerConfig__Output, image: ImageConfig, {hostname, cdi}: EnvSources): Uint8Array[] {
	const values = new Map<string, Uint8Array>();
	const set = (line: string): void => {
		const at = line.indexOf('=');
		// An entry without "=" takes a variable out again, as in env(1) -u.
		if (at < 0) values.delete(line);
		else values.set(line.slice(0, at), Buffer.from(line));
	};
	set(DEFAULT_PATH);
	if (config.tty) set('TERM=xterm');
	set(`HOSTNAME=${hostname}`);
	image.env.forEach(set);
	for (const {key, value} of config.envs) values.set(key, Buffer.concat([Buffer.from(`${key}=`), value]));
	cdi.forEach(set);
	return [...values.values()];
}

/** An image's relative directory is below "/". */
export function toCwd(config: ContainerConfig__Output, image: ImageConfig): string {
	return join('/', config.working_dir || image.workingDir);
}

/** @throws {InvalidArgumentError} what execve could not take. */
export function assertProcess(config: ContainerConfig__Output): void {
	for (const field of ['command', 'args'] as const) {
		if (config[field].some(arg => arg.includes('\0'))) throw new InvalidArgumentError(`${field} holds a NUL byte`, {field});
	}
	for (const {key, value} of config.envs) {
		if (key === '' || key.includes('=') || key.includes('\0'))
			throw new InvalidArgumentError(`envs: key "${key}" is empty or holds "=" or a NUL byte`, {field: 'envs'});
		if (value.includes(0)) throw new InvalidArgumentError(`envs: the value of ${key} holds a NUL byte`, {field: 'envs'});
	}
	if (config.working_dir !== '' && (!config.working_dir.startsWith('/') || config.working_dir.includes('\0')))
		throw new InvalidArgumentError(`working_dir "${config.working_dir}" is not an absolute path`, {field: 'working_dir'});
	if (Buffer.byteLength(config.working_dir) >= PATH_MAX)
		throw new InvalidArgumentError(`working_dir is longer than ${PATH_MAX - 1} bytes`, {field: 'working_dir'});
	if (config.stdin_once && !config.stdin) throw new InvalidArgumentError('stdin_once is set without stdin', {field: 'stdin_once'});
}
