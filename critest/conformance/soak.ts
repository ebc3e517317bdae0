import {parseArgs} from 'node:util';
import {runSuite} from './suite.js';

/**
 * `make critest-soak`: the whole suite in random order, for each seed once serially and once in four processes at a time, over SPDY and WebSocket in turn.
 * `--seeds=N` (20) of them from `--from=N` (1) on. Prints a line per run, and what differed.
 */
const {values} = parseArgs({options: {seeds: {type: 'string', default: '20'}, from: {type: 'string', default: '1'}}});
const [seeds, from] = [Number(values.seeds), Number(values.from)];
const PARALLEL = 4;

let bad = 0;
let runs = 0;
for (let seed = from; seed < from + seeds; seed++) {
	const transport = seed % 2 === 0 ? 'websocket' : 'spdy';
	for (const parallel of [1, PARALLEL]) {
		const startMs = performance.now();
		const {exitCode, outcomes, differences, leaks} = await runSuite({format: null, transport, parallel, seed, args: [], quiet: true});
		const wrong = [...differences, ...leaks.map(leak => `left behind: ${leak}`), ...(exitCode === 0 ? [] : [`critest ended with ${exitCode}`])];
		runs++;
		if (wrong.length > 0) bad++;
		const {passed, failed, skipped} = outcomes;
		const counts = `${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`;
		process.stdout.write(`seed ${seed}, ${transport}, ${parallel} at a time: ${counts}, ${Math.round((performance.now() - startMs) / 1000)} s\n`);
		for (const line of wrong) process.stdout.write(`  ${line}\n`);
	}
}
process.stdout.write(`${runs - bad} of ${runs} runs as they must be\n`);
process.exitCode = bad === 0 ? 0 : 1;
