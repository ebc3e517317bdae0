import {spawn} from 'node:child_process';
import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import {backoff} from '../base/backoff.js';
import type {Clock} from '../base/clock.js';
import {FailedError, TimedOutError, UnavailableError} from '../base/errors.js';
import {Connection, type ConnectionEvents} from './connection.js';
import {isNobodyThere} from './monitor-client.js';
import type {LauncherOptions} from './native.js';

const START_DEADLINE_MS = 10_000;
const FIRST_RETRY_MS = 2;
const MAX_RETRY_MS = 100;
// Of what the launcher says before it ends, this much goes into the error.
const MAX_WORDS_BYTES = 4096;

export function launcherSocketPath(options: LauncherOptions): string {
	return path.join(options.runDir, 'launcher.sock');
}

/** Connects to the live launcher, or starts one and waits until it listens. @throws {TimedOutError} {FailedError} it ended at once; has its words. */
export async function connectOrStart(clock: Clock, options: LauncherOptions, events: ConnectionEvents): Promise<Connection> {
	const found = await connectIfThere(options, events);
	if (found !== null) return found;
	const start = await startLauncher(options);
	const deadlineMs = clock.monotonicMs() + START_DEADLINE_MS;
	for (const delayMs of backoff(FIRST_RETRY_MS, MAX_RETRY_MS)) {
		const connection = await connectIfThere(options, events);
		if (connection !== null) return connection;
		const failure = start.failure();
		if (failure !== null) throw failure;
		if (clock.monotonicMs() > deadlineMs) break;
		await clock.sleep(delayMs);
	}
	start.kill();
	throw new TimedOutError(`the launcher did not listen on ${launcherSocketPath(options)} within ${START_DEADLINE_MS} ms`);
}

async function connectIfThere(options: LauncherOptions, events: ConnectionEvents): Promise<Connection | null> {
	try {
		return await Connection.open('launcher', launcherSocketPath(options), events);
	} catch (error) {
		// Connected to one that was just ending: the same as none.
		if (isNobodyThere(error) || error instanceof UnavailableError) return null;
		throw error;
	}
}

interface Start {
	/** null while it runs or has put itself into the background. */
	failure(): Error | null;
	kill(): void;
}

/** Once per node boot, not on any request's path: a fork of the Node process is in order. */
async function startLauncher(options: LauncherOptions): Promise<Start> {
	await mkdir(options.runDir, {recursive: true, mode: 0o700});
	const args = [
		'--run-dir',
		options.runDir,
		'--root-dir',
		options.rootDir,
		'--oom-score-adj',
		String(options.oomScoreAdj),
		...options.cgroupDirs.flatMap(dir => ['--cgroup-dir', dir]),
	];
	const child = spawn(options.binaryPath, args, {detached: true, stdio: ['ignore', 'ignore', 'pipe'], env: {}, cwd: '/'});
	let words = '';
	let failure: Error | null = null;
	child.stderr.setEncoding('utf8').on('data', (text: string) => void (words = (words + text).slice(-MAX_WORDS_BYTES)));
	child.on('error', cause => void (failure = new FailedError(`cannot start the launcher ${options.binaryPath}`, {}, {cause})));
	child.on('exit', code => {
		if (code !== 0) failure = new FailedError(`the launcher ended with ${code ?? 'a signal'}: ${words.trim()}`);
	});
	// It outlives this process.
	child.unref();
	return {failure: () => failure, kill: () => void child.kill('SIGKILL')};
}
