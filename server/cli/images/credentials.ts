import {text} from 'node:stream/consumers';
import type {Command} from 'commander';
import {InvalidArgumentError} from '../../../base/errors.js';

export interface CredentialFlags {
	readonly creds?: string;
}

/** On the command line others on the machine can read a password: "-" takes it from standard input. */
export function addCredentialFlags(command: Command): Command {
	return command.option('--creds <user:password>', 'for the registry; "-" reads them from standard input (default: those of image.auth_files)');
}

/** @returns null without a flag. @throws {InvalidArgumentError} */
export async function readCredentials({creds}: CredentialFlags): Promise<{username: string; password: string} | null> {
	if (creds === undefined) return null;
	const pair = creds === '-' ? (await text(process.stdin)).trim() : creds;
	const colon = pair.indexOf(':');
	if (colon < 1) throw new InvalidArgumentError('--creds must be user:password');
	return {username: pair.slice(0, colon), password: pair.slice(colon + 1)};
}
