import {join} from 'node:path';
import {openRegistry, type Registry} from '../../fixtures/registry.js';
import {checkCut, type CheckFigures} from './check-cut.js';
import {CutDisk, type CutFigures} from './cut-disk.js';
import {buildCutImages, type CutImages} from './images.js';
import {promisesAt} from './promises.js';
import {seededRandom} from './random.js';
import {toRunFiles, type RecordedRun} from './record-run.js';
import {WriteLog} from './write-log.js';

/** Cuts that are not at any moment come at most so many records after a pull was reported. */
const SOON_RECORDS = 12;
/** A cache may keep anything from nothing to all. */
const KEEP_CHANCES = [0, 0.2, 0.5, 0.8, 0.95, 1];
/** Of a disk that lies, so that it does lose what it said to have flushed: some dozens of flushes are a pull or two. */
const LYING_KEEP_CHANCES = [0, 0, 0.2];
const LYING_FLUSHES = {least: 60, most: 300};

export interface CutChoices {
	readonly cuts: number;
	/** Only this one of them. */
	readonly only: number | null;
	/** true: the disk ignores some flushes before the cut, which the checks must find. */
	readonly lyingDisk: boolean;
	/** All of them are soon after a pull was reported. */
	readonly expectDamage: boolean;
}
export interface CutReport extends CheckFigures, CutFigures {
	/** The same run, seed and number give the same disk. */
	readonly number: number;
	readonly records: number;
}
export interface LogFigures {
	readonly writes: number;
	readonly flushes: number;
}

/** Cuts the power of a recorded run again and again, each time on a disk of its own. `onCut` hears of each. */
export async function cutRun(dir: string, run: RecordedRun, choices: CutChoices, onCut: (report: CutReport) => void): Promise<LogFigures> {
	const files = toRunFiles(dir);
	await using log = await WriteLog.open(files.log);
	await using disk = new CutDisk(log, {base: files.base, flushed: join(dir, 'flushed.img')});
	const images = buildCutImages(seededRandom(run.seed));
	const registry = await openRegistry(images.content);
	try {
		for (const {number, records} of chooseMoments(run, log, choices))
			onCut(await cutOnce({dir, run, log, disk, images, registry}, {number, records, ...choices}));
	} finally {
		await registry.close();
	}
	const taken = log.records.slice(log.countAt(run.startBytes), log.countAt(run.endBytes));
	const writes = taken.filter(({kind}) => kind === 'write').length;
	return {writes, flushes: taken.length - writes};
}

interface Moment {
	readonly number: number;
	readonly records: number;
}

/**
 * Half of them in the middle of whatever the disk is writing, long writes more often; a quarter between any two records, a quarter soon after a pull was reported,
 * which is when a promise is newest. In the order of time.
 */
function chooseMoments(run: RecordedRun, log: WriteLog, {cuts, only, expectDamage}: CutChoices): readonly Moment[] {
	const [start, end] = [log.countAt(run.startBytes), log.countAt(run.endBytes)];
	const pulled = run.marks.filter(({kind}) => kind === 'pulled');
	if (pulled.length === 0) throw new Error('the workload pulled nothing');
	const moments = Array.from({length: cuts}, (_, number) => {
		const random = seededRandom(run.seed, 2, number);
		const kind = expectDamage ? 3 : number % 4;
		if (kind === 3) return {number, records: Math.min(log.countAt(random.pick(pulled).positionBytes) + random.integer(SOON_RECORDS), end)};
		if (kind === 1) return {number, records: start + random.integer(end - start + 1)};
		return {number, records: log.countAt(run.startBytes + random.integer(run.endBytes - run.startBytes))};
	});
	return moments.filter(({number}) => only === null || number === only).sort((a, b) => a.records - b.records);
}

interface CutParts {
	readonly dir: string;
	readonly run: RecordedRun;
	readonly log: WriteLog;
	readonly disk: CutDisk;
	readonly images: CutImages;
	readonly registry: Registry;
}

async function cutOnce({dir, run, log, disk, images, registry}: CutParts, {number, records, lyingDisk}: Moment & CutChoices): Promise<CutReport> {
	const random = seededRandom(run.seed, 3, number);
	const ignoredFlushes = lyingDisk ? LYING_FLUSHES.least + random.integer(LYING_FLUSHES.most - LYING_FLUSHES.least) : 0;
	const keepChance = random.pick(lyingDisk ? LYING_KEEP_CHANCES : KEEP_CHANCES);
	const image = join(dir, 'cut.img');
	const lost = await disk.build({records, ignoredFlushes, keepChance}, random, image);
	const promises = promisesAt(run.marks, log.positionAt(records));
	const checked = await checkCut({...images, registry, image, mountPoint: join(dir, 'cut'), promises});
	return {number, records, ...lost, ...checked};
}
