import {join} from 'node:path';
import {InvalidArgumentError} from '../../base/errors.js';
import type {Rollback} from '../../base/rollback.js';
import type {CgroupWrite, Kernel} from '../../native/native.js';
import type {ResourceFacts} from '../sandbox/record.js';
import {changeCgroup} from './change.js';
import type {CgroupHierarchies} from './hierarchies.js';
import {toChanged} from './merge.js';
import {toResourceWrites} from './plan.js';

export interface Update {
	readonly cgroupPath: string;
	/** All that holds from now on; has passed assertResources. */
	readonly merged: ResourceFacts;
	/** What is asked for now. */
	readonly changes: ResourceFacts;
}

/**
 * Gives a cgroup other limits, then has `record` make them known; what fails changes nothing.
 *
 * @throws {InvalidArgumentError} naming the field: a limit that this machine cannot set, or that the kernel refuses; whatever `record` throws.
 */
export async function updateCgroup(
	{kernel, cgroups}: {readonly kernel: Pick<Kernel, 'readFiles' | 'writeFile'>; readonly cgroups: CgroupHierarchies},
	{cgroupPath, merged, changes}: Update,
	record: (undo: Rollback) => Promise<void>,
): Promise<void> {
	const writes = toResourceWrites(cgroups, cgroupPath, toChanged(merged, changes));
	if (cgroups.mode === 'v2' && cgroups.unified !== null) await assertMemoryFits(kernel, join(cgroups.unified.mountpoint, cgroupPath), writes);
	await changeCgroup(kernel, writes, record);
}

/**
 * Where v1 refuses a limit below what is in use, v2 takes it and has the OOM killer make room. What cannot be given back is all but the page cache.
 * A container that grows meanwhile can still meet the new limit: as if it had grown right after.
 *
 * @see cgroup-v2.rst, "memory.max".
 */
async function assertMemoryFits(kernel: Pick<Kernel, 'readFiles'>, dir: string, writes: readonly CgroupWrite[]): Promise<void> {
	const wanted = writes.find(({path}) => path === join(dir, 'memory.max'))?.value ?? 'max';
	if (wanted === 'max') return;
	const [current, stat] = (await kernel.readFiles([join(dir, 'memory.current'), join(dir, 'memory.stat')])).map(content =>
		Buffer.from(content ?? '').toString(),
	);
	const cacheOf = (name: string): bigint => BigInt(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat ?? '')?.[1] ?? 0);
	const neededBytes = BigInt((current ?? '').trim() || 0) - cacheOf('inactive_file') - cacheOf('active_file');
	if (neededBytes > BigInt(wanted))
		throw new InvalidArgumentError(
			`memory_limit_in_bytes: memory.max "${wanted}" is refused: more is in use than that, and cannot be given back (${neededBytes})`,
			{
				field: 'memory_limit_in_bytes',
			},
		);
}
