import {parseArgs} from 'node:util';
import {runSuite, type SuiteResult} from './suite.js';
import type {Outcome} from './report.js';

/**
 * `make critest`: the CRI conformance suite against a fresh daemon, over SPDY and then over WebSocket (`--transport=spdy|websocket|both`), for the runtime
 * handler `--handler=runc` or `crun`, in `--parallel N` processes, in the random order of `--seed=N`. All other arguments go to critest (`--ginkgo.focus=…`).
 * Fails when anything differs from critest/conformance/specs.txt or anything is left behind.
 */

function printResult({outcomes, differences, leaks}: SuiteResult): void {
	const list = (title: string, specs: readonly Outcome[]): void => {
		process.stdout.write(`\n${title} (${specs.length})\n`);
		for (const {name, reason} of specs) process.stdout.write(`  ${name}${reason === '' ? '' : `\n      ${reason.replaceAll(/\s+/g, ' ').slice(0, 300)}`}\n`);
	};
	list('passed', outcomes.passed);
	list('skipped', outcomes.skipped);
	list('failed', outcomes.failed);
	if (differences.length > 0) process.stdout.write(`\nnot as it must be:\n${differences.join('\n')}\n`);
	if (leaks.length > 0) process.stdout.write(`\nleft behind:\n${leaks.join('\n')}\n`);
}

/** What is ours, and what is critest's. */
function parseChoices(argv: readonly string[]) {
	const ours: string[] = [];
	const args: string[] = [];
	for (let index = 0; index < argv.length; index++) {
		const arg = argv[index] ?? '';
		if (!/^--?(?:transport|handler|parallel|seed)(?:=|$)/.test(arg)) args.push(arg);
		else if (arg.includes('=')) ours.push(arg);
		else ours.push(`${arg}=${argv[++index] ?? ''}`);
	}
	const string = {type: 'string'} as const;
	const {values} = parseArgs({args: ours.map(arg => arg.replace(/^--?/, '--')), options: {transport: string, handler: string, parallel: string, seed: string}});
	const transports = values.transport === 'spdy' || values.transport === 'websocket' ? ([values.transport] as const) : (['spdy', 'websocket'] as const);
	if (values.transport !== undefined && values.transport !== 'both' && transports.length > 1)
		throw new Error(`--transport=${values.transport}: spdy, websocket or both`);
	const seed = values.seed === undefined ? null : Number(values.seed);
	return {transports, runtimeHandler: values.handler ?? '', parallel: Number(values.parallel ?? 1), seed, args};
}

const {transports, ...choices} = parseChoices(process.argv.slice(2));
const summary: string[] = [];
let good = true;
for (const transport of transports) {
	const result = await runSuite({...choices, transport, format: null, quiet: false});
	printResult(result);
	const {outcomes, differences, leaks, exitCode} = result;
	summary.push(`${transport}: ${outcomes.passed.length} passed, ${outcomes.failed.length} failed, ${outcomes.skipped.length} skipped`);
	good &&= exitCode === 0 && differences.length === 0 && leaks.length === 0;
}
process.stdout.write(`\n${summary.join('\n')}\n`);
process.exitCode = good ? 0 : 1;
