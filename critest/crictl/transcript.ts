import {spawn} from 'node:child_process';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {stripVTControlCharacters} from 'node:util';
import {run} from '../rig/command.js';
import {TOOLS_DIR, type Daemon} from '../rig/daemon.js';
import {until} from '../rig/pods.js';

export interface StepOptions {
	readonly input?: string;
	/** crictl gets a terminal of 40 rows and 100 columns. */
	readonly terminal?: boolean;
	/** What differs from machine to machine or from run to run, and its stand-in. */
	readonly mask?: readonly (readonly [RegExp, string])[];
}

/** A command that goes on while others run. */
export interface Background {
	/** What it has said, as it was. */
	output(): string;
	/** The same, as it stands in the transcript. */
	said(): string;
	/** Ends it, and puts it into the transcript. */
	end(): Promise<void>;
}

/** Runs crictl against a daemon and writes down what a person would see, with everything that changes from run to run by a stand-in. */
export class Transcript {
	readonly #daemon: Daemon;
	readonly #lines: string[] = [];
	/** Id → name of it. */
	readonly #names = new Map<string, string>();

	constructor(daemon: Daemon) {
		this.#daemon = daemon;
	}

	get text(): string {
		return `${this.#lines.join('\n')}\n`;
	}

	/** Words between the commands. */
	say(text: string): void {
		this.#lines.push(...(this.#lines.length === 0 ? [] : ['']), `# ${text}`);
	}

	/** A JSON file beside the commands; shown. @returns the name by which commands have it. */
	async file(name: string, content: object): Promise<string> {
		await writeFile(join(this.#daemon.places.scratchDir, name), JSON.stringify(content, null, 2));
		this.#lines.push(`$ cat ${name}`, ...this.#normal(JSON.stringify(content, null, 2)));
		return name;
	}

	/** From here on the id is shown as `<name>`. */
	name(id: string, name: string): string {
		this.#names.set(id, name);
		return id;
	}

	/** Runs a command to its end. @returns what it wrote to stdout, as it was. */
	async step(args: readonly string[], options: StepOptions = {}): Promise<string> {
		const {exitCode, stdout, stderr} = await run(this.#argv(args, options.terminal ?? false), {
			...(options.input === undefined ? {} : {input: options.input}),
			timeoutMs: 60_000,
		});
		const {input} = options;
		const shown = `crictl ${args.map(quote).join(' ')}`;
		this.#lines.push(this.#mask(input === undefined ? `$ ${shown}` : `$ echo ${quote(input.trimEnd())} | ${shown}`, options));
		this.#lines.push(...this.#normal(stdout + stderr).map(line => this.#mask(line, options)));
		if (exitCode !== 0) this.#lines.push(`[exit code ${exitCode}]`);
		return stdout.trim();
	}

	/** Starts a command and waits until it has said what fits. */
	async begin(args: readonly string[], ready: RegExp): Promise<Background> {
		const [command = '', ...rest] = this.#argv(args, false);
		const child = spawn(command, rest, {cwd: this.#daemon.places.scratchDir, stdio: ['ignore', 'pipe', 'pipe']});
		let output = '';
		for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
		const ended = new Promise<void>(resolve => child.once('close', () => resolve()));
		const said = (): string => this.#normal(output).join('\n');
		await until(
			`crictl ${args.join(' ')} is ready`,
			async () => output,
			text => ready.test(text),
		);
		return {
			output: () => output,
			said,
			end: async () => {
				child.kill('SIGINT');
				await ended;
				this.#lines.push(this.#mask(`$ crictl ${args.map(quote).join(' ')}`, {}), ...this.#normal(output));
			},
		};
	}

	#argv(args: readonly string[], terminal: boolean): readonly string[] {
		const endpoint = `unix://${this.#daemon.places.socket}`;
		const config = join(this.#daemon.places.baseDir, 'crictl.yaml');
		const files = args.map(arg => (arg.endsWith('.json') ? join(this.#daemon.places.scratchDir, arg) : arg));
		const argv = [join(TOOLS_DIR, 'crictl'), '--config', config, '--runtime-endpoint', endpoint, '--image-endpoint', endpoint, '--timeout', '60s', ...files];
		return terminal ? ['script', '--quiet', '--return', '--command', `stty rows 40 cols 100; exec ${argv.map(quote).join(' ')}`, '/dev/null'] : argv;
	}

	#mask(line: string, {mask = []}: StepOptions): string {
		return mask.reduce((text, [pattern, stand]) => text.replaceAll(pattern, stand), this.#named(line));
	}

	#normal(output: string): readonly string[] {
		// Without colours, the cleared screen of `crictl stats`, and the echo of the end of input that script(1) sends.
		const lines = stripVTControlCharacters(output)
			.replaceAll(/\r|\^@|\^D/g, '')
			.split('\n')
			// The client's own log, beside what it says to people.
			.filter(line => line !== '' && !/^[EWI]\d{4} |level=warning/.test(line));
		return lines.map(line =>
			this.#named(line)
				.replaceAll(/time="[^"]*" /g, '')
				.replaceAll(/FATA\[\d+\]/g, 'FATA')
				.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)/g, '<time>')
				.replaceAll(/(?:Less than a second|About a minute|\d+ (?:second|minute)s?) ago/g, '<age>')
				.replaceAll(/(?<=(?:127\.0\.0\.1|\[::1\]):|Handling connection for )\d+/g, '<port>')
				.replaceAll(/\b10\.\d+\.\d+\.\d+\b/g, '<ip>')
				.replaceAll(/ {2,}(?=\S)/g, found => (line.startsWith(found) ? found : '   '))
				.trimEnd(),
		);
	}

	/** Ids, whole or as long as tables show them. */
	#named(line: string): string {
		const {scratchDir, cgroupRoot} = this.#daemon.places;
		let text = line.replaceAll(scratchDir, '<dir>').replaceAll(cgroupRoot, '/berth');
		for (const [id, name] of this.#names) text = text.replaceAll(id, `<${name}>`).replaceAll(id.slice(0, 13), `<${name}>`);
		return text;
	}
}

function quote(arg: string): string {
	return /^[\w./:=@,-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", String.raw`'\''`)}'`;
}
