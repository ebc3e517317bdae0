import {spawn, type ChildProcess} from 'node:child_process';
import {systemClock} from '../../base/clock.js';
import type {Daemon} from './daemon.js';

const TIMEOUT_MS = 30_000;

/** A crictl that goes on while the test talks to it. Disposing of it kills it. */
export class CrictlSession implements AsyncDisposable {
	readonly #child: ChildProcess;
	readonly #ended: Promise<number | null>;
	#stdout = '';
	#stderr = '';
	#over = false;

	private constructor(argv: readonly string[]) {
		const [command = '', ...args] = argv;
		this.#child = spawn(command, args, {stdio: 'pipe'});
		this.#child.stdout?.on('data', (chunk: Buffer) => (this.#stdout += chunk.toString('latin1')));
		this.#child.stderr?.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString('latin1')));
		// It may end before it has read its input.
		this.#child.stdin?.on('error', () => undefined);
		this.#ended = new Promise((resolve, reject) => {
			this.#child.once('error', reject);
			this.#child.once('close', resolve);
		});
		this.#ended.finally(() => (this.#over = true)).catch(() => {});
	}

	static open(daemon: Daemon, args: readonly string[]): CrictlSession {
		return new CrictlSession(daemon.crictlArgv(args));
	}

	/** On a terminal of its own (by util-linux' script) of that size; output and errors come as one. */
	static openOnTerminal(daemon: Daemon, args: readonly string[], size: {readonly columns: number; readonly rows: number}): CrictlSession {
		const quoted = daemon.crictlArgv(args).map(arg => `'${arg.replaceAll("'", `'\\''`)}'`);
		return new CrictlSession(['script', '-qfec', `stty cols ${size.columns} rows ${size.rows}; exec ${quoted.join(' ')}`, '/dev/null']);
	}

	get stdout(): string {
		return this.#stdout;
	}
	get stderr(): string {
		return this.#stderr;
	}

	write(text: string): void {
		this.#child.stdin?.write(text);
	}
	endInput(): void {
		this.#child.stdin?.end();
	}
	signal(signal: NodeJS.Signals): void {
		this.#child.kill(signal);
	}

	/** Waits until its output holds `wanted`. @throws when it does not within 30 s, or it has ended before. */
	async saw(wanted: string): Promise<void> {
		const endMs = systemClock.monotonicMs() + TIMEOUT_MS;
		while (!this.#stdout.includes(wanted)) {
			const why = this.#over ? 'ended' : systemClock.monotonicMs() > endMs ? 'too late' : null;
			if (why !== null && !this.#stdout.includes(wanted)) {
				throw new Error(`${why}, without ${JSON.stringify(wanted)}: ${JSON.stringify(this.#stdout.slice(-2000))} ${this.#stderr.slice(-2000)}`);
			}
			await systemClock.sleep(10);
		}
	}

	/** Waits for its end; its exit code, null after a signal. @throws after `timeoutMs` (30,000). */
	async ended(timeoutMs = TIMEOUT_MS): Promise<number | null> {
		const waited = new AbortController();
		const late = systemClock.sleep(timeoutMs, waited.signal).then(() => 'late' as const);
		const end = await Promise.race([this.#ended, late]);
		waited.abort();
		if (end === 'late') throw new Error(`it did not end; last: ${this.#stdout.slice(-2000)} ${this.#stderr.slice(-2000)}`);
		return end;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (!this.#over) this.#child.kill('SIGKILL');
		await this.#ended;
	}
}
