import {readFile, writeFile} from 'node:fs/promises';

/** proc(5): clock ticks are 10 ms on every Linux that we build for (USER_HZ). */
const TICK_MS = 10;

/** What one process took of the machine during a while. */
export interface Consumption {
	readonly ms: number;
	/** With children that ended meanwhile, such as a decompressor. */
	readonly cpuMs: number;
	readonly rssBeforeKiB: number;
	/** The kernel's own mark, so that no peak falls between two samples. */
	readonly rssPeakKiB: number;
}

/** Begins to watch: the mark of peak memory is set back (proc(5), clear_refs: 5). */
export async function watchProcess(pid: number): Promise<{end(): Promise<Consumption>}> {
	await writeFile(`/proc/${pid}/clear_refs`, '5');
	const rssBeforeKiB = await readKiB(pid, 'VmRSS');
	const cpuBeforeMs = await readCpuMs(pid);
	const startMs = performance.now();
	return {
		end: async () => {
			const ms = Math.round(performance.now() - startMs);
			return {ms, cpuMs: (await readCpuMs(pid)) - cpuBeforeMs, rssBeforeKiB, rssPeakKiB: await readKiB(pid, 'VmHWM')};
		},
	};
}

async function readKiB(pid: number, field: string): Promise<number> {
	const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
	if (found === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
	return Number(found);
}

/** utime, stime, cutime, cstime: fields 14 to 17; the name, field 2, may hold blanks. */
async function readCpuMs(pid: number): Promise<number> {
	const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
	return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * TICK_MS, 0);
}
