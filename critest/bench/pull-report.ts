import type {Consumption} from './process-watch.js';

/** A runtime's memory may grow by so much during a pull. */
const MAX_RSS_GROWTH_MB = 100;

export interface Comparison {
	readonly name: string;
	readonly containerdVersion: string;
	/** Of berth's median time to containerd's; null = for information. */
	readonly targetRatio: number | null;
	readonly berth: readonly Consumption[];
	readonly containerd: readonly Consumption[];
}

export function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	const middle = Math.floor(sorted.length / 2);
	const upper = sorted[middle] ?? Number.NaN;
	return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** One row as a table, for people. */
export function toReport({name, containerdVersion, targetRatio, berth, containerd}: Comparison): string {
	const both = (toNumber: (consumption: Consumption) => number): readonly [number, number] => [median(berth.map(toNumber)), median(containerd.map(toNumber))];
	const times = both(({ms}) => ms / 1000);
	const cpu = both(({cpuMs}) => cpuMs / 1000);
	const before = both(({rssBeforeKiB}) => toMb(rssBeforeKiB));
	const growth = [maxGrowth(berth), maxGrowth(containerd)] as const;
	const ratio = times[0] / times[1];
	const verdict = targetRatio === null ? '' : `at most ${targetRatio.toFixed(2)}: ${ratio <= targetRatio ? 'met' : 'missed'}`;
	const lines = [
		`\n${name}: ${berth.length} pulls each, berth (synced) and containerd ${containerdVersion}`,
		toLine('', ['berth', 'containerd', 'ratio']),
		toLine('time s, median', [...times.map(toText), ratio.toFixed(2)], verdict),
		toLine(
			'time s, least',
			[berth, containerd].map(samples => toText(Math.min(...samples.map(({ms}) => ms / 1000)))),
		),
		toLine(
			'time s, most',
			[berth, containerd].map(samples => toText(Math.max(...samples.map(({ms}) => ms / 1000)))),
		),
		toLine('CPU s of the daemon, median', [...cpu.map(toText), (cpu[0] / cpu[1]).toFixed(2)]),
		toLine('RSS before MB, median', before.map(toText)),
		toLine('RSS growth MB, most', growth.map(toText), `under ${MAX_RSS_GROWTH_MB}: ${growth[0] < MAX_RSS_GROWTH_MB ? 'met' : 'missed'}`),
	];
	return `${lines.join('\n')}\n`;
}

function maxGrowth(samples: readonly Consumption[]): number {
	return Math.max(...samples.map(({rssBeforeKiB, rssPeakKiB}) => toMb(rssPeakKiB - rssBeforeKiB)));
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
