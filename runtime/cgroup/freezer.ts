import {join} from 'node:path';
import type {Clock} from '../../base/clock.js';
import {SyscallError, TimedOutError, UnimplementedError} from '../../base/errors.js';
import type {Kernel} from '../../native/native.js';
import {v1Dir, type CgroupHierarchies} from './hierarchies.js';

export interface FreezerParts {
	readonly kernel: Pick<Kernel, 'readFiles' | 'writeFile'>;
	readonly clock: Clock;
	readonly cgroups: CgroupHierarchies;
}

/** A process in an uninterruptible wait (a dead mount) does not freeze before that ends. */
const FREEZE_TIMEOUT_MS = 10_000;
const POLL_MS = 5;
const ENOENT = 2;
/** Removed between the opening of its file and the write. */
const ENODEV = 19;

/** One of the two ways in which a cgroup can be frozen. */
interface Freezer {
	readonly file: string;
	readonly frozen: string;
	readonly thawed: string;
	/** Where it says that all of it is frozen, and how. */
	readonly shows: {readonly file: string; readonly pattern: RegExp};
}

/**
 * Stops all processes of a cgroup and those below it where they are, and waits until they stand still. Idempotent.
 *
 * @throws {UnimplementedError} this machine has no freezer. {TimedOutError} something did not freeze: all run again then.
 */
export async function freezeCgroup(parts: FreezerParts, cgroupPath: string): Promise<void> {
	const freezer = await findFreezer(parts, cgroupPath);
	if (freezer === null) throw new UnimplementedError('this machine has neither the freezer controller of cgroup v1 nor the cgroup.freeze of v2');
	try {
		await waitUntilFrozen(parts, freezer);
	} catch (error) {
		await parts.kernel.writeFile(freezer.file, freezer.thawed);
		throw error;
	}
}

async function waitUntilFrozen({kernel, clock}: FreezerParts, freezer: Freezer): Promise<void> {
	const endMs = clock.monotonicMs() + FREEZE_TIMEOUT_MS;
	for (;;) {
		// Again each time: v1 passes over processes that were being made.
		await kernel.writeFile(freezer.file, freezer.frozen);
		if (freezer.shows.pattern.test(await readText(kernel, freezer.shows.file))) return;
		if (clock.monotonicMs() > endMs) throw new TimedOutError(`the cgroup's processes did not all stand still within ${FREEZE_TIMEOUT_MS} ms: ${freezer.file}`);
		await clock.sleep(POLL_MS);
	}
}

/** Lets a cgroup's processes go on. Idempotent; a cgroup that is gone is success. */
export async function thawCgroup(parts: Omit<FreezerParts, 'clock'>, cgroupPath: string): Promise<void> {
	for (const {file, thawed} of toFreezers(parts.cgroups, cgroupPath)) {
		try {
			await parts.kernel.writeFile(file, thawed);
		} catch (error) {
			if (!(error instanceof SyscallError && (error.errno === ENOENT || error.errno === ENODEV))) throw error;
		}
	}
}

/** v2's first, also on a hybrid machine: what it froze can be killed as it stands. Only kernels before 5.2 lack it. */
function toFreezers(cgroups: CgroupHierarchies, cgroupPath: string): readonly Freezer[] {
	const v1 = v1Dir(cgroups, 'freezer', cgroupPath);
	const v2 = cgroups.unified === null ? null : join(cgroups.unified.mountpoint, cgroupPath);
	const freezers: Freezer[] = [];
	if (v2 !== null) freezers.push({file: join(v2, 'cgroup.freeze'), frozen: '1', thawed: '0', shows: {file: join(v2, 'cgroup.events'), pattern: /^frozen 1$/m}});
	if (v1 !== null)
		freezers.push({
			file: join(v1, 'freezer.state'),
			frozen: 'FROZEN',
			thawed: 'THAWED',
			shows: {file: join(v1, 'freezer.state'), pattern: /^FROZEN$/m},
		});
	return freezers;
}

async function findFreezer({kernel, cgroups}: FreezerParts, cgroupPath: string): Promise<Freezer | null> {
	const freezers = toFreezers(cgroups, cgroupPath);
	const contents = await kernel.readFiles(freezers.map(({file}) => file));
	return freezers.find((_, index) => contents[index] !== null && contents[index] !== undefined) ?? null;
}

async function readText(kernel: Pick<Kernel, 'readFiles'>, path: string): Promise<string> {
	const [content] = await kernel.readFiles([path]);
	return Buffer.from(content ?? '').toString('latin1');
}
