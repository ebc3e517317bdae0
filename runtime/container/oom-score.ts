import {join} from 'node:path';
import {SyscallError} from '../../base/errors.js';
import type {Rollback} from '../../base/rollback.js';
import type {Runtime} from '../runtime.js';
import {absoluteDirs} from '../cgroup/hierarchies.js';

type Parts = Pick<Runtime, 'kernel' | 'cgroups'>;

/** A process that was made while the list was read has its parent's value from before. */
const ROUNDS = 2;

/**
 * Sets what the OOM killer thinks of all processes of a cgroup (proc(5), oom_score_adj). As at the start of a container it is clamped: where the machine does not
 * let us lower it, it stays. Those that end meanwhile are passed over.
 *
 * @param to `value` -1000 to 1000.
 * @param undo gets a step that gives each process what it had; one that was made meanwhile gets what most of the others had.
 */
export async function setOomScoreAdj(parts: Parts, to: {readonly cgroupPath: string; readonly value: number}, undo: Rollback): Promise<void> {
	const before = new Map<string, string>();
	undo.add('oom_score_adj', () => restore(parts, to.cgroupPath, before));
	const value = String(to.value);
	await eachRound(parts, to.cgroupPath, async pids => {
		// One that has it already was made since, by one that was given it.
		for (const [pid, old] of await readValues(parts, pids)) if (old !== value) before.set(pid, old);
		for (const pid of pids) await write(parts, pid, value);
	});
}

async function restore(parts: Parts, cgroupPath: string, before: ReadonlyMap<string, string>): Promise<void> {
	const usual = mostFrequent(before.values());
	await eachRound(parts, cgroupPath, async pids => {
		for (const pid of pids) {
			const value = before.get(pid) ?? usual;
			if (value !== null) await write(parts, pid, value);
		}
	});
}

/** Calls `work` with the processes that were not there in the round before. */
async function eachRound({kernel, cgroups}: Parts, cgroupPath: string, work: (pids: readonly string[]) => Promise<void>): Promise<void> {
	const done = new Set<string>();
	const [dir = ''] = absoluteDirs(cgroups, cgroupPath).toReversed();
	for (let round = 0; round < ROUNDS; round++) {
		const [procs] = await kernel.readFiles([join(dir, 'cgroup.procs')]);
		const lines = Buffer.from(procs ?? '')
			.toString()
			.split('\n');
		const pids = lines.filter(pid => pid !== '' && pid !== '0' && !done.has(pid));
		await work(pids);
		for (const pid of pids) done.add(pid);
	}
}

async function readValues({kernel}: Parts, pids: readonly string[]): Promise<readonly (readonly [string, string])[]> {
	const contents = await kernel.readFiles(pids.map(fileOf));
	return pids.flatMap((pid, index) => (contents[index] ? [[pid, Buffer.from(contents[index]).toString().trim()] as const] : []));
}

async function write({kernel}: Parts, pid: string, value: string): Promise<void> {
	try {
		await kernel.writeFile(fileOf(pid), value);
	} catch (error) {
		if (!(error instanceof SyscallError)) throw error;
	}
}

function fileOf(pid: string): string {
	return `/proc/${pid}/oom_score_adj`;
}

function mostFrequent(values: Iterable<string>): string | null {
	const counts = new Map<string, number>();
	for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
	return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null;
}
