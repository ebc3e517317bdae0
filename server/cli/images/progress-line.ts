import {toSize} from './command.js';

/** The info "pull" of a verbose ImageStatus. */
export interface PullInfo {
	readonly phase: string;
	readonly totalBytes: number | null;
	readonly fetchedBytes: number;
	readonly layers: readonly {readonly sizeBytes: number; readonly fetchedBytes: number}[];
}

const BAR_MAX = 40;
const TEXT_COLUMNS = 50;

/** "[=====>    ]  52 %  1.5 MB of 3.0 MB, 2 of 4 layers"; no longer than `columns`. */
export function toProgressLine({phase, totalBytes, fetchedBytes, layers}: PullInfo, columns: number): string {
	if (totalBytes === null) return 'resolving'.slice(0, columns);
	const share = totalBytes === 0 ? 1 : Math.min(1, fetchedBytes / totalBytes);
	const done = layers.filter(layer => layer.fetchedBytes >= layer.sizeBytes).length;
	const width = Math.max(0, Math.min(BAR_MAX, columns - TEXT_COLUMNS));
	const filled = Math.floor(share * width);
	const bar = width === 0 ? '' : `[${'='.repeat(filled)}${filled < width ? '>' : ''}${' '.repeat(Math.max(0, width - filled - 1))}] `;
	const percent = `${Math.floor(share * 100)}`.padStart(3);
	const what = phase === 'syncing' ? ', writing to disk' : `, ${done} of ${layers.length} layers`;
	return `${bar}${percent} %  ${toSize(fetchedBytes)} of ${toSize(totalBytes)}${what}`.slice(0, columns);
}
