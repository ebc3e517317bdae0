import {randomInt} from 'node:crypto';
import {SyscallError} from '../../base/errors.js';
import type {Kernel} from '../../native/native.js';
import type {SnapshotFeature} from '../image.js';

/** Ours. The kubelet's own begin at 1,048,577 and go up one by one (its fsquota), Docker's at 1. */
const FIRST_ID = 0x4200_0000;
const IDS = 0x0100_0000;
const NAME = 'project quota';

/** Project ids on the filesystem of the writable layers, which then counts each layer itself (ext4, xfs mounted with prjquota; quotactl_fd(2)). */
export class ProjectQuota {
	readonly #dir: string;
	readonly #kernel: Pick<Kernel, 'assignProject' | 'projectUsages'>;
	readonly #used = new Set<number>();
	/** Another daemon's layers may lie on the same filesystem: the two begin at different ids, and each looks before it takes one. */
	#next = randomInt(IDS);

	/** @param dir of the filesystem in question, which has the quota. */
	constructor(dir: string, kernel: Pick<Kernel, 'assignProject' | 'projectUsages'>) {
		this.#dir = dir;
		this.#kernel = kernel;
	}

	/** An id of an earlier daemon. */
	take(id: number): void {
		this.#used.add(id);
	}

	release(id: number): void {
		this.#used.delete(id);
	}

	/**
	 * Counts what will be made in `dirs`, which are empty, for a project of their own.
	 *
	 * @returns its id, the caller's until release().
	 * @throws {SyscallError} the filesystem refuses it; the id is free again.
	 */
	async assign(dirs: readonly string[]): Promise<number> {
		const id = await this.#findFree();
		try {
			for (const dir of dirs) await this.#kernel.assignProject(dir, id);
			return id;
		} catch (error) {
			this.release(id);
			throw error;
		}
	}

	async #findFree(): Promise<number> {
		for (;;) {
			const id = FIRST_ID + this.#next;
			this.#next = (this.#next + 1) % IDS;
			if (this.#used.has(id)) continue;
			this.#used.add(id);
			const [usage] = await this.#kernel.projectUsages(this.#dir, [id]);
			if (usage?.inodes === 0) return id;
			this.#used.delete(id);
		}
	}
}

/** Whether the filesystem that holds `dir` has project quota, and in words for the operator why not. */
export async function openProjectQuota(
	dir: string,
	kernel: Pick<Kernel, 'assignProject' | 'projectUsages'>,
): Promise<{readonly quota: ProjectQuota | null; readonly feature: SnapshotFeature}> {
	try {
		// Project 0 is of everything that has none: it is counted exactly where project quota is on.
		await kernel.projectUsages(dir, [0]);
		return {quota: new ProjectQuota(dir, kernel), feature: {name: NAME, used: true, reason: 'the filesystem counts each writable layer itself'}};
	} catch (error) {
		if (!(error instanceof SyscallError)) throw error;
		const why = `the filesystem of ${dir} does not count projects (${error.message})`;
		return {
			quota: null,
			feature: {name: NAME, used: false, reason: `${why}: writable layers are counted in the background; ext4 or xfs mounted with prjquota would`},
		};
	}
}
