import {spawn} from 'node:child_process';
import {globSync} from 'node:fs';
import {createInterface} from 'node:readline';
import {patientMs} from '../base/test-patience.js';
import {PROJECT_DIR} from './fixtures/images.js';

/**
 * Runs the stages of `make test` (all, or those named; names of test files, build/….test.js, make a stage of their own) and ends with "N passed, N failed, N skipped" over all of them.
 * A stage that fails without saying which test failed, or that ran no test, counts as one failure.
 */
interface Stage {
	readonly name: string;
	readonly what: string;
	readonly argv: readonly string[];
	/** How its output is counted; 'one': the command itself is the test. */
	readonly counts: 'tap' | 'summary' | 'one';
	/** A file without which the stage cannot run yet: each of its test files is then counted as skipped, and said to be. */
	readonly needs?: string;
	readonly files?: string;
}
interface Counts {
	readonly passed: number;
	readonly failed: number;
	readonly skipped: number;
}

/** On a slow machine (see base/test-patience.ts) also one test after the other, so that none waits for the others' work. */
const AVA = ['ava', '--tap', `--timeout=${patientMs(300_000)}ms`, ...(patientMs(1) > 1 ? ['--serial'] : [])];
/** `make test-addon-asan` leaves copies of tests there, for an addon that only loads under the sanitizers. */
const NOT_SANITIZED = '!build/asan/**';
const LAUNCHER = 'build/native/berth-launcher';
const LAUNCHER_TESTS = 'build/native/launcher-client.root.test.js';
const STAGES: readonly Stage[] = [
	{name: 'lint', what: 'format and lint', argv: ['make', '--no-print-directory', 'lint'], counts: 'one'},
	{name: 'native', what: 'C and C++ under the sanitizers', argv: ['make', '--no-print-directory', 'native-test'], counts: 'summary'},
	{name: 'addon', what: 'the addon under the sanitizers', argv: ['make', '--no-print-directory', 'test-addon-asan', 'AVA_FLAGS=--tap'], counts: 'tap'},
	{name: 'unit', what: 'rooms, without root', argv: [...AVA, 'build/**/*.test.js', '!build/**/*.root.test.js', NOT_SANITIZED], counts: 'tap'},
	{
		name: 'root',
		what: 'rooms, with root and kernel',
		argv: [...AVA, '--concurrency=1', 'build/**/*.root.test.js', '!build/critest/**', `!${LAUNCHER_TESTS}`, NOT_SANITIZED],
		counts: 'tap',
	},
	{name: 'launcher', what: 'launcher and monitors, from the addon', argv: [...AVA, LAUNCHER_TESTS], counts: 'tap', needs: LAUNCHER, files: LAUNCHER_TESTS},
	{
		name: 'daemon',
		what: 'the whole daemon',
		argv: [...AVA, '--concurrency=1', '--serial', 'build/critest/**/*.root.test.js'],
		counts: 'tap',
		needs: LAUNCHER,
		files: 'build/critest/**/*.root.test.js',
	},
];

/** Runs a stage, shows its output (of TAP only what failed), and counts. */
async function runStage(stage: Stage): Promise<Counts> {
	if (stage.needs !== undefined && globSync(stage.needs, {cwd: PROJECT_DIR}).length === 0) {
		const files = globSync(stage.files ?? '', {cwd: PROJECT_DIR});
		process.stdout.write(`${stage.name}: NOT RUN, ${stage.needs} does not exist yet; ${files.length} test files counted as skipped\n`);
		return {passed: 0, failed: 0, skipped: files.length};
	}
	const [command = '', ...args] = stage.argv;
	const child = spawn(command, args, {cwd: PROJECT_DIR, stdio: ['ignore', 'pipe', 'inherit']});
	const tally = stage.counts === 'tap' ? new TapTally() : new SummaryTally();
	const lines = createInterface({input: child.stdout});
	lines.on('line', line => {
		if (tally.take(line)) process.stdout.write(`${line}\n`);
	});
	const exitCode = await new Promise<number | null>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', resolve);
	});
	if (stage.counts === 'one') return exitCode === 0 ? {passed: 1, failed: 0, skipped: 0} : {passed: 0, failed: 1, skipped: 0};
	const {passed, failed, skipped} = tally.counts;
	const silent = failed === 0 && (exitCode !== 0 || passed === 0);
	if (silent) process.stdout.write(`${stage.name}: ${exitCode === 0 ? 'no test ran' : `exit code ${exitCode}`}\n`);
	return {passed, failed: failed + (silent ? 1 : 0), skipped};
}

interface Tally {
	readonly counts: Counts;
	/** @returns whether the line is to be shown. */
	take(line: string): boolean;
}

/** TAP 13 as ava writes it: skipped and todo tests carry a directive; what follows a "not ok" tells why. */
class TapTally implements Tally {
	#passed = 0;
	#failed = 0;
	#skipped = 0;
	#showing = false;

	get counts(): Counts {
		return {passed: this.#passed, failed: this.#failed, skipped: this.#skipped};
	}

	take(line: string): boolean {
		if (/^(?:not )?ok \d+/.test(line)) {
			const skipped = /# (?:SKIP|TODO)/i.test(line);
			const failed = !skipped && line.startsWith('not ok');
			if (skipped) this.#skipped++;
			else if (failed) this.#failed++;
			else this.#passed++;
			this.#showing = failed || skipped;
			return this.#showing;
		}
		if (/^(?:\d+\.\.\d+|# (?:tests|pass|fail|skip|todo) \d+)/.test(line)) this.#showing = false;
		return this.#showing;
	}
}

/** Programs that end with "N passed, N failed[, N skipped]"; there may be several. */
class SummaryTally implements Tally {
	#counts: Counts = {passed: 0, failed: 0, skipped: 0};

	get counts(): Counts {
		return this.#counts;
	}

	take(line: string): boolean {
		const found = /(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$/.exec(line);
		if (found === null) return true;
		const [, passed, failed, skipped = '0'] = found;
		this.#counts = add(this.#counts, {passed: Number(passed), failed: Number(failed), skipped: Number(skipped)});
		return true;
	}
}

function add(a: Counts, b: Counts): Counts {
	return {passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped};
}

function toText({passed, failed, skipped}: Counts): string {
	return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

const isTestFile = (argument: string): boolean => argument.endsWith('.test.js');
const files = process.argv.slice(2).filter(isTestFile);
const wanted = process.argv.slice(2).filter(argument => !isTestFile(argument));
const fileStage: Stage = {name: 'files', what: files.join(' '), argv: [...AVA, '--concurrency=1', '--serial', ...files], counts: 'tap'};
const unknown = wanted.filter(name => !STAGES.some(stage => stage.name === name));
if (unknown.length > 0) throw new Error(`no stage ${unknown.join(', ')}: there are ${STAGES.map(({name}) => name).join(', ')}`);
let total: Counts = {passed: 0, failed: 0, skipped: 0};
const report: string[] = [];
const stages = STAGES.filter(({name}) => (wanted.length === 0 && files.length === 0) || wanted.includes(name));
for (const stage of files.length === 0 ? stages : [...stages, fileStage]) {
	process.stdout.write(`== ${stage.name}: ${stage.what}\n`);
	const counts = await runStage(stage);
	total = add(total, counts);
	// Not in the form of the last line, which must be the only one of its kind.
	report.push(`${stage.name.padEnd(8)} ${counts.passed} of ${counts.passed + counts.failed + counts.skipped} passed`);
}
process.stdout.write(`${report.join('\n')}\n${toText(total)}\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
