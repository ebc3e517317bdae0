import {constants} from 'node:fs';
import {access, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {CancelledError, FailedError, TimedOutError} from '../../base/errors.js';
import type {Kernel, ProgramResult} from '../../native/native.js';
import type {ProxyOptions} from '../image.js';

const TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 1 << 16;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** How helpers say that they have nothing (docker-credential-helpers, credentials/error.go). */
const NOT_FOUND = 'credentials not found in native keychain';

export interface HelperHost {
	readonly kernel: Pick<Kernel, 'runProgram'>;
	readonly dirs: readonly string[];
	/** Helpers ask services of their cloud: the daemon's proxy is theirs too. */
	readonly proxy: ProxyOptions;
}
export interface HelperWish {
	/** "ecr-login" of docker-credential-ecr-login. */
	readonly helper: string;
	readonly serverUrl: string;
	/** The auth file that names it. */
	readonly file: string;
}

/**
 * Runs `docker-credential-<helper> get` with the server on its standard input; null when it knows none.
 *
 * @throws {FailedError} missing, failing, or its answer is not as agreed; {TimedOutError} killed after 30 s; {CancelledError}. None quotes its output.
 */
export async function askHelper(
	{kernel, dirs, proxy}: HelperHost,
	{helper, serverUrl, file}: HelperWish,
	signal: AbortSignal,
): Promise<{readonly username: string; readonly secret: string} | null> {
	const name = `docker-credential-${helper}`;
	const what = `credential helper ${name} (of ${file})`;
	const details = {helper: name, file, server: serverUrl};
	const path = await findProgram(dirs, name);
	if (path === null) throw new FailedError(`${what} is not in ${dirs.join(', ') || 'any directory: none is configured'}`, details);
	let result: ProgramResult;
	try {
		const stdin = Buffer.from(serverUrl);
		result = await kernel.runProgram(
			{path, args: ['get'], env: toEnv(proxy), stdin, cwd: null, timeoutMs: TIMEOUT_MS, maxOutputBytes: MAX_OUTPUT_BYTES},
			signal,
		);
	} catch (cause) {
		if (cause instanceof CancelledError) throw cause;
		throw new FailedError(`${what} could not be run: ${(cause as Error).message}`, details, {cause});
	}
	if (result.timedOut) throw new TimedOutError(`${what} did not end within ${TIMEOUT_MS} ms and was killed`, details);
	const output = Buffer.from(result.stdout).toString('utf8');
	if (result.exitCode !== 0 && output.includes(NOT_FOUND)) return null;
	if (result.exitCode !== 0) throw new FailedError(`${what} exited with ${result.exitCode} for ${serverUrl}`, details);
	const answer = toAnswer(output);
	if (answer === null) throw new FailedError(`${what} answers something else than JSON with Username and Secret`, details);
	return answer;
}

function toAnswer(output: string): {readonly username: string; readonly secret: string} | null {
	try {
		const {Username: username, Secret: secret} = JSON.parse(output) as {readonly Username?: unknown; readonly Secret?: unknown};
		return typeof username === 'string' && typeof secret === 'string' && username !== '' ? {username, secret} : null;
	} catch {
		return null;
	}
}

function toEnv({http, https, noProxy}: ProxyOptions): readonly string[] {
	const proxy = [...(http === null ? [] : [`HTTP_PROXY=${http}`]), ...(https === null ? [] : [`HTTPS_PROXY=${https}`])];
	return [`PATH=${PATH}`, 'HOME=/root', ...proxy, ...(noProxy === '' ? [] : [`NO_PROXY=${noProxy}`])];
}

async function findProgram(dirs: readonly string[], name: string): Promise<string | null> {
	for (const dir of dirs) {
		const path = join(dir, name);
		try {
			await access(path, constants.X_OK);
			if ((await stat(path)).isFile()) return path;
		} catch {
			// Not here; the next directory may have it.
		}
	}
	return null;
}
