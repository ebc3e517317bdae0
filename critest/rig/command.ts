import {spawn} from 'node:child_process';
import {patientMs} from '../../base/test-patience.js';

export interface Ended {
	/** null: ended by a signal. */
	readonly exitCode: number | null;
	readonly stdout: string;
	readonly stderr: string;
}
export interface CommandOptions {
	readonly env?: Readonly<Record<string, string>>;
	/** The command is killed then; default 60,000; times the patience of base/test-patience.ts. */
	readonly timeoutMs?: number;
	readonly input?: string;
}

/** Runs a command to its end; any exit code is an answer. @throws when it cannot be started or does not end in time. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<Ended> {
	const [command = '', ...args] = argv;
	const timeoutMs = patientMs(options.timeoutMs ?? 60_000);
	const child = spawn(command, args, {env: {...process.env, ...options.env}, timeout: timeoutMs, killSignal: 'SIGKILL', stdio: 'pipe'});
	const stdout: Buffer[] = [];
	const stderr: Buffer[] = [];
	child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
	child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
	// A command that does not read its input ends the pipe.
	child.stdin.on('error', () => undefined);
	child.stdin.end(options.input ?? '');
	const exitCode = await new Promise<number | null>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', resolve);
	});
	const ended = {exitCode, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString()};
	if (child.signalCode === 'SIGKILL') throw new Error(`${argv.join(' ')}: killed after ${timeoutMs} ms\n${ended.stderr}`);
	return ended;
}

/** @returns stdout. @throws when the exit code is not 0, with what the command said. */
export async function runOk(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
	const {exitCode, stdout, stderr} = await run(argv, options);
	if (exitCode !== 0) throw new Error(`${argv.join(' ')}: exit code ${exitCode}\n${stderr}${stdout}`);
	return stdout;
}
