import {runSuite} from './suite.js';
import type {Outcome, Outcomes} from './report.js';

/** `make critest`: the CRI conformance suite against a fresh daemon. Arguments go to critest (`--ginkgo.focus=…`, `--parallel 4`). */

function printOutcomes(outcomes: Outcomes): void {
	const list = (title: string, specs: readonly Outcome[]): void => {
		process.stdout.write(`\n${title} (${specs.length})\n`);
		for (const {name, reason} of specs) process.stdout.write(`  ${name}${reason === '' ? '' : `\n      ${reason.replaceAll(/\s+/g, ' ').slice(0, 300)}`}\n`);
	};
	list('passed', outcomes.passed);
	list('skipped', outcomes.skipped);
	list('failed', outcomes.failed);
	process.stdout.write(`\n${outcomes.passed.length} passed, ${outcomes.failed.length} failed, ${outcomes.skipped.length} skipped\n`);
}

const {exitCode, outcomes, leaks} = await runSuite({format: null, args: process.argv.slice(2), quiet: false});
printOutcomes(outcomes);
if (leaks.length > 0) process.stdout.write(`\nleft behind:\n${leaks.join('\n')}\n`);
process.exitCode = exitCode === 0 && outcomes.failed.length === 0 && outcomes.passed.length > 0 && leaks.length === 0 ? 0 : 1;
