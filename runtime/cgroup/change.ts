import {basename} from 'node:path';
import {InvalidArgumentError, SyscallError} from '../../base/errors.js';
import {Rollback} from '../../base/rollback.js';
import type {CgroupWrite, Kernel} from '../../native/native.js';

/** What the files of a cgroup said before: what they are set back to. null: there is no such file. */
type Before = ReadonlyMap<string, string | null>;

/**
 * Writes limits of a cgroup that lives, then has `record` make them known: wholly or not at all. After a write that the kernel refuses, or when `record` fails,
 * what was written is taken back, newest first, and what `record` adds to its `undo`. Values that are there already are not written again.
 *
 * @throws {InvalidArgumentError} naming the CRI's field and the rule, where the kernel's errno says which one was broken; {SyscallError} else; whatever `record` throws.
 */
export async function changeCgroup(
	kernel: Pick<Kernel, 'readFiles' | 'writeFile'>,
	writes: readonly CgroupWrite[],
	record: (undo: Rollback) => Promise<void>,
): Promise<void> {
	const before = await readBefore(kernel, writes);
	const done = new Rollback();
	try {
		for (const write of inOrder(writes, before)) await change(kernel, write, {old: before.get(write.path) ?? null, done});
		await record(done);
	} catch (error) {
		throw withUndo(error, await done.undo());
	}
}

async function change(
	kernel: Pick<Kernel, 'writeFile'>,
	{path, value, required}: CgroupWrite,
	{old, done}: {readonly old: string | null; readonly done: Rollback},
): Promise<void> {
	if (old === value || (old === null && !required)) return;
	if (old === null) throw new InvalidArgumentError(`${toField(path)}: this cgroup has no ${basename(path)}`, {field: toField(path)});
	try {
		await kernel.writeFile(path, value);
	} catch (error) {
		throw explainCgroupError(error, value);
	}
	done.add(basename(path), async () => {
		for (const line of toLines(old)) await kernel.writeFile(path, line);
	});
}

async function readBefore(kernel: Pick<Kernel, 'readFiles'>, writes: readonly CgroupWrite[]): Promise<Before> {
	const paths = [...new Set(writes.map(({path}) => path))];
	const contents = await kernel.readFiles(paths);
	return new Map(paths.map((path, index) => [path, contents[index] ? Buffer.from(contents[index]).toString('latin1').trimEnd() : null]));
}

/** Files of several lines (io.max) take one at a time; an empty list (a cpuset) is a line feed, for an empty write is none. */
function toLines(content: string): readonly string[] {
	return content === '' ? ['\n'] : content.split('\n');
}

/**
 * Some v1 files are checked against each other at each write, so that the way to a value that is fine may lead over one that is not.
 *
 * Memory and swap together are never below memory alone: the outer goes first where the limit rises above it. A quota per period is never above the parent's:
 * what lowers the ratio goes first.
 */
function inOrder(writes: readonly CgroupWrite[], before: Before): readonly CgroupWrite[] {
	const ordered = [...writes];
	swapWhere(ordered, before, ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'], (limit, swap) => toBytes(limit.wanted) > toBytes(swap.before));
	swapWhere(ordered, before, ['cpu.cfs_period_us', 'cpu.cfs_quota_us'], period => Number(period.wanted) < Number(period.before));
	return ordered;
}

interface Change {
	readonly wanted: string;
	readonly before: string;
}

/** Puts the second file of a pair before the first where `reversed` says so. */
function swapWhere(
	writes: CgroupWrite[],
	before: Before,
	[first, second]: readonly [string, string],
	reversed: (first: Change, second: Change) => boolean,
): void {
	const at = writes.findIndex(({path}) => basename(path) === first);
	const a = writes[at];
	const b = writes[at + 1];
	if (a === undefined || b === undefined || basename(b.path) !== second) return;
	const toChange = ({path, value}: CgroupWrite): Change => ({wanted: value, before: before.get(path) ?? ''});
	if (reversed(toChange(a), toChange(b))) writes.splice(at, 2, b, a);
}

function toBytes(value: string): number {
	return value === '' || value.startsWith('-') ? Number.POSITIVE_INFINITY : Number(value);
}

function withUndo(error: unknown, failed: readonly Error[]): unknown {
	if (failed.length === 0 || !(error instanceof Error)) return error;
	error.message += `; not wholly taken back: ${failed.map(({message}) => message).join('; ')}`;
	return error;
}

const FIELDS: readonly (readonly [RegExp, string])[] = [
	[/^cpu\.(shares|weight)$/, 'cpu_shares'],
	[/^cpu\.cfs_period_us$/, 'cpu_period'],
	[/^cpu\.(cfs_quota_us|max)$/, 'cpu_quota'],
	[/^memory\.(limit_in_bytes|max)$/, 'memory_limit_in_bytes'],
	[/^memory\.(memsw\.limit_in_bytes|swap\.max)$/, 'memory_swap_limit_in_bytes'],
	[/^cpuset\.cpus$/, 'cpuset_cpus'],
	[/^cpuset\.mems$/, 'cpuset_mems'],
	[/^hugetlb\./, 'hugepage_limits'],
	[/^(blkio|io)\.(bfq\.)?weight/, 'annotations["berth.io/blkio-weight"]'],
	[/^(blkio\.throttle|io\.max)/, 'annotations["berth.io/blkio-throttle-…-device"]'],
	[/^net_prio\./, 'annotations["berth.io/network-priority"]'],
];

/** The field of LinuxContainerResources that a cgroup's file stands for. */
function toField(path: string): string {
	const name = basename(path);
	return FIELDS.find(([pattern]) => pattern.test(name))?.[1] ?? `unified["${name}"]`;
}

const RULES: readonly (readonly [RegExp, readonly number[], string])[] = [
	[/^cpu\.(cfs_|max)/, [22], 'a cgroup cannot have more CPU time than the one it lies in, nor less than those in it'],
	[/^memory\./, [16, 22], 'more is in use than that, and cannot be given back'],
	[/^(blkio|io)\./, [6, 19, 22], 'there is no such block device, or it cannot be limited (a partition, say)'],
	[/^net_prio\./, [19, 22], 'the pod has no such network interface'],
	[/^cpuset\./, [13, 16, 22, 28, 34], 'these must be online, among those of the cgroup it lies in, and all that those in it use'],
];

/** A write to a cgroup that failed, in the CRI's words where they are known. `value`: what was written; null when that is not known. */
export function explainCgroupError(error: unknown, value: string | null): unknown {
	if (!(error instanceof SyscallError)) return error;
	const path = String(error.details['path'] ?? '');
	const name = basename(path);
	const rule = RULES.find(([pattern, errnos]) => pattern.test(name) && errnos.includes(error.errno))?.[2];
	if (rule === undefined) return error;
	// Which of the two came to be written last says nothing: it is the ratio that is refused.
	const field = name.startsWith('cpu.cfs_') ? 'cpu_quota' : toField(path);
	return new InvalidArgumentError(`${field}: ${name}${value === null ? '' : ` "${value}"`} is refused: ${rule}`, {field, path}, {cause: error});
}
