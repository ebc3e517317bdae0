import type {Consumption} from './process-watch.js';

/** A runtime's memory may grow by so much during a pull. */
const MAX_RSS_GROWTH_MB = 100;

export interface Comparison {
	readonly name: string;
	readonly containerdVersion: string;
	/** Of berth's median time to containerd's; null = for information. */
	readonly targetRatio: number | null;
	/** In order. The first, by a fresh daemon, warms up code, connections and the registry's page cache: it counts for memory only. */
	readonly berth: readonly Consumption[];
	readonly containerd: readonly Consumption[];
}

function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	const middle = Math.floor(sorted.length / 2);
	const upper = sorted[middle] ?? Number.NaN;
	return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Median of the pulls that count. */
export function medianOf(samples: readonly Consumption[], toNumber: (consumption: Consumption) => number): number {
	return median(samples.slice(1).map(toNumber));
}

/** One row as a table, for people. */
export function toReport({name, containerdVersion, targetRatio, berth, containerd}: Comparison): string {
	const both = [berth, containerd];
	const times = both.map(samples => medianOf(samples, ({ms}) => ms / 1000));
	const cpu = both.map(samples => medianOf(samples, ({cpuMs}) => cpuMs / 1000));
	const seconds = both.map(samples => samples.slice(1).map(({ms}) => ms / 1000));
	const growth = both.map(toGrowthMb);
	const ratio = toRatio(times);
	const verdict = targetRatio === null ? '' : `at most ${targetRatio.toFixed(2)}: ${ratio <= targetRatio ? 'met' : 'missed'}`;
	const lines = [
		`\n${name}: ${berth.length - 1} pulls each, berth (synced) and containerd ${containerdVersion}`,
		toLine('', ['berth', 'containerd', 'ratio']),
		toLine('time s, median', [...times.map(toText), ratio.toFixed(2)], verdict),
		toLine(
			'time s, least',
			seconds.map(values => toText(Math.min(...values))),
		),
		toLine(
			'time s, most',
			seconds.map(values => toText(Math.max(...values))),
		),
		toLine('CPU s of the daemon, median', [...cpu.map(toText), toRatio(cpu).toFixed(2)]),
		toLine(
			'RSS MB of the fresh daemon',
			both.map(([first]) => toText(toMb(first?.rssBeforeKiB ?? Number.NaN))),
		),
		toLine('RSS growth MB, most', growth.map(toText), `under ${MAX_RSS_GROWTH_MB}: ${(growth[0] ?? Number.NaN) < MAX_RSS_GROWTH_MB ? 'met' : 'missed'}`),
	];
	return `${lines.join('\n')}\n`;
}

/** berth's to containerd's. */
function toRatio([berth = Number.NaN, containerd = Number.NaN]: readonly number[]): number {
	return berth / containerd;
}

/** From the fresh daemon to the highest peak of any pull, so that what adds up from pull to pull counts. */
function toGrowthMb(samples: readonly Consumption[]): number {
	return toMb(Math.max(...samples.map(({rssPeakKiB}) => rssPeakKiB)) - (samples[0]?.rssBeforeKiB ?? Number.NaN));
}

function toMb(kib: number): number {
	return (kib * 1024) / 1e6;
}

function toText(value: number): string {
	return value.toFixed(2);
}

function toLine(label: string, cells: readonly string[], verdict = ''): string {
	return `${label.padEnd(30)}${cells.map(cell => cell.padStart(12)).join('')}  ${verdict}`.trimEnd();
}
