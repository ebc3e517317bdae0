import {mkdir, mkdtemp, rm} from 'node:fs/promises';
import {randomInt} from 'node:crypto';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import type {DamageKind} from './check-cut.js';
import {cutRun, type CutChoices, type CutReport} from './cut-run.js';
import {readRecordedRun, recordRun, type RecordedRun} from './record-run.js';

/**
 * `make power-cut`: a daemon's life on a disk that writes everything down, then the power cut at random moments of it, and a daemon started on what each cut left.
 * `--cuts N` (200), `--operations N` (90), `--seed N` (random), `--cut N` only that one. The same seed asks for the same, but what the disk takes in which order
 * is never the same twice: `--keep DIR` keeps a run's log, `--from DIR` cuts that one again. `--name NAME` is part of the name of its directory. Runs by alone.sh, so that nothing of it can be left.
 * Ends with exit code 1 when a promise was broken, or when a check that must find damage found none.
 */
const SELF_CHECK_CUTS = 8;
/** Of one cut's damage. */
const MAX_LINES = 12;

interface Totals {
	readonly cuts: readonly CutReport[];
	readonly damaged: number;
}

function print(text: string): void {
	process.stdout.write(`${text}\n`);
}

function sum(cuts: readonly CutReport[], value: (cut: CutReport) => number): number {
	return cuts.reduce((total, cut) => total + value(cut), 0);
}

async function inRunDir<T>(name: string, work: (dir: string) => Promise<T>): Promise<T> {
	const dir = await mkdtemp(join(tmpdir(), `berth-power-cut-${name}-`));
	try {
		return await work(dir);
	} finally {
		await rm(dir, {recursive: true, force: true});
	}
}

function describeRun({marks, seed}: RecordedRun): string {
	const count = (kind: string): number => marks.filter(mark => mark.kind === kind).length;
	return `seed ${seed}: ${count('asked')} pulls asked for, ${count('pulled')} reported, ${count('removed')} removals reported`;
}

async function cut(dir: string, run: RecordedRun, choices: CutChoices): Promise<Totals> {
	const cuts: CutReport[] = [];
	const {writes, flushes} = await cutRun(dir, run, choices, report => {
		cuts.push(report);
		for (const {kind, text} of report.damage.slice(0, choices.expectDamage ? 0 : MAX_LINES))
			print(`  cut ${report.number} after ${report.records} records: ${kind}: ${text}`);
	});
	const unflushed = sum(cuts, each => each.unflushed);
	print(`  the disk took ${writes} writes and ${flushes} flushes
  ${cuts.length} cuts, ${sum(cuts, each => each.daemonStarts)} daemon starts
  ${sum(cuts, each => each.dropped)} of ${unflushed} unflushed sectors dropped, ${sum(cuts, each => each.old)} left with an earlier write than the last
  ${sum(cuts, each => each.promised)} images promised, ${sum(cuts, each => each.further)} further ones listed, ${sum(cuts, each => each.compared)} compared file by file
  ${sum(cuts, each => each.leftovers)} leftovers of no image were on the disks, ${sum(cuts, each => each.torn)} of them layers that look whole and are torn`);
	const damaged = cuts.filter(({damage}) => damage.length > 0).length;
	print(`  damage after ${damaged} cuts${describeDamage(cuts)}`);
	return {cuts, damaged};
}

function describeDamage(cuts: readonly CutReport[]): string {
	const counts = new Map<DamageKind, number>();
	for (const {kind} of cuts.flatMap(({damage}) => damage)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
	return counts.size === 0 ? '' : `: ${[...counts].map(([kind, count]) => `${count} × ${kind}`).join(', ')}`;
}

/** Proof that the checks can fail. @returns whether both did. */
async function selfCheck(dir: string, run: RecordedRun, {name, cuts}: {readonly name: string; readonly cuts: number}): Promise<boolean> {
	print('self-check: a disk that says to have flushed and has not; damage must be found');
	const lying = await cut(dir, run, {cuts, only: null, lyingDisk: true, expectDamage: true});
	print('self-check: a daemon whose syncs do nothing; damage must be found');
	const unsynced = await inRunDir(name, async other => {
		const recorded = await recordRun(other, {seed: run.seed, operations: 30, syncs: false});
		return await cut(other, recorded, {cuts, only: null, lyingDisk: false, expectDamage: true});
	});
	return lying.damaged > 0 && unsynced.damaged > 0;
}

async function main(): Promise<void> {
	const {values} = parseArgs({
		options: {
			seed: {type: 'string', default: String(randomInt(1, 1_000_000))},
			cuts: {type: 'string', default: '200'},
			operations: {type: 'string', default: '90'},
			'self-check-cuts': {type: 'string', default: String(SELF_CHECK_CUTS)},
			name: {type: 'string', default: 'run'},
			cut: {type: 'string'},
			keep: {type: 'string'},
			from: {type: 'string'},
		},
	});
	const {keep, from, name} = values;
	const use = async (dir: string): Promise<void> => {
		const run =
			from === undefined ? await recordRun(dir, {seed: Number(values.seed), operations: Number(values.operations), syncs: true}) : await readRecordedRun(dir);
		print(`power-cut: ${describeRun(run)}`);
		const only = values.cut === undefined ? null : Number(values.cut);
		const {cuts, damaged} = await cut(dir, run, {cuts: Number(values.cuts), only, lyingDisk: false, expectDamage: false});
		const proven = only !== null || (await selfCheck(dir, run, {name, cuts: Number(values['self-check-cuts'])}));
		if (!proven) print('the self-check found no damage: the checks prove nothing');
		print(`power-cut: ${cuts.length} cuts, ${damaged} damaged, self-check ${only !== null ? 'left out' : proven ? 'found the damage' : 'FAILED'}`);
		process.exitCode = damaged === 0 && proven && cuts.length > 0 ? 0 : 1;
	};
	const kept = from ?? keep;
	if (kept === undefined) return await inRunDir(name, use);
	await mkdir(kept, {recursive: true});
	await use(kept);
}

await main();
