import {systemClock} from '../../base/clock.js';
import {bootVm, type VmEnd} from './boot.js';
import {PHASES, SELF_CHECKS, type Phase} from './phases.js';

/**
 * `make test-cgroup2`: tests in VMs with cgroup v2 alone, one VM after the other. Arguments: names of phases; none: all. What a phase's job says is shown, and at
 * the end a line for each phase. Exit code 0: each phase ran to its end, its tests passed, and the checks of the rig itself found what they must find.
 */
interface Result {
	readonly phase: Phase;
	readonly passed: number;
	readonly failed: number;
	readonly skipped: number;
	/** '': all is well. */
	readonly trouble: string;
	readonly seconds: number;
}

function print(text: string): void {
	process.stdout.write(`${text}\n`);
}

async function runPhase(phase: Phase): Promise<Result> {
	print(`== ${phase.name} (${phase.kind}): ${phase.what}`);
	const startMs = systemClock.monotonicMs();
	let counts = {passed: 0, failed: 0, skipped: 0};
	const end = await bootVm({
		...phase,
		onLine: line => {
			print(`${phase.name}| ${line}`);
			const found = /^(?:spdy: )?(\d+) passed, (\d+) failed, (\d+) skipped$/.exec(line.trim());
			if (found !== null) counts = {passed: Number(found[1]), failed: Number(found[2]), skipped: Number(found[3])};
		},
	});
	return {phase, ...counts, trouble: toTrouble(phase, end, counts), seconds: Math.round((systemClock.monotonicMs() - startMs) / 1000)};
}

function toTrouble(phase: Phase, end: VmEnd, counts: {readonly passed: number; readonly failed: number}): string {
	if (end.timedOut) return `did not end within ${Math.round(phase.deadlineMs / 1000)} s and was killed`;
	if (end.exitCode === null) return `the VM ended before the job did; the end of its console:\n${end.tail.join('\n')}`;
	if (end.exitCode !== 0) return `exit code ${end.exitCode}`;
	if (counts.failed > 0) return `exit code 0 in spite of ${counts.failed} failures`;
	return counts.passed === 0 ? 'no test ran' : '';
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter(name => ![...SELF_CHECKS, ...PHASES].some(phase => phase.name === name));
if (unknown.length > 0) throw new Error(`no phase ${unknown.join(', ')}: there are ${[...SELF_CHECKS, ...PHASES].map(({name}) => name).join(', ')}`);
const isWanted = ({name}: Phase): boolean => wanted.length === 0 || wanted.includes(name);

const report: string[] = [];
const total = {passed: 0, failed: 0, skipped: 0};
for (const phase of SELF_CHECKS.filter(isWanted)) {
	const {trouble, seconds} = await runPhase(phase);
	// A fault is in there: a phase that does not see it would see none.
	if (phase.expects.test(trouble)) total.passed++;
	else total.failed++;
	report.push(`${phase.name.padEnd(16)} ${phase.expects.test(trouble) ? 'the fault was seen' : 'THE FAULT WAS NOT SEEN'}: ${trouble} (${seconds} s)`);
}
for (const phase of PHASES.filter(isWanted)) {
	const {passed, failed, skipped, trouble, seconds} = await runPhase(phase);
	total.passed += passed;
	total.skipped += skipped;
	total.failed += trouble === '' ? 0 : Math.max(failed, 1);
	report.push(`${phase.name.padEnd(16)} ${passed} passed, ${failed} failed, ${skipped} skipped (${seconds} s)${trouble === '' ? '' : `: ${trouble}`}`);
}
print(`\n${report.join('\n')}\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
