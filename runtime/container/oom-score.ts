import {join} from 'node:path';
import {SyscallError} from '../../base/errors.js';
import type {Runtime} from '../runtime.js';
import {absoluteDirs} from '../cgroup/hierarchies.js';

/** A process that was made while the list was read has its parent's value from before. */
const ROUNDS = 2;

/**
 * Sets what the OOM killer thinks of all processes of a cgroup (proc(5), oom_score_adj). As at the start of a container it is clamped: where the machine does not
 * let us lower it, it stays. Those that end meanwhile are passed over.
 *
 * @param value -1000 to 1000.
 */
export async function setOomScoreAdj({kernel, cgroups}: Pick<Runtime, 'kernel' | 'cgroups'>, cgroupPath: string, value: number): Promise<void> {
	const done = new Set<string>();
	for (let round = 0; round < ROUNDS; round++) {
		const [dir = ''] = absoluteDirs(cgroups, cgroupPath).toReversed();
		const [procs] = await kernel.readFiles([join(dir, 'cgroup.procs')]);
		for (const pid of Buffer.from(procs ?? '')
			.toString()
			.split('\n')) {
			if (pid === '' || pid === '0' || done.has(pid)) continue;
			done.add(pid);
			try {
				await kernel.writeFile(`/proc/${pid}/oom_score_adj`, String(value));
			} catch (error) {
				if (!(error instanceof SyscallError)) throw error;
			}
		}
	}
}
