import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {writeFileAtomic} from '../../../base/atomic-file.js';
import type {Kernel} from '../../../native/native.js';
import {toJson} from '../oci/spec.js';
import type {ShimAddress} from './shim.js';

/**
 * A pod's directory for its shim, on tmpfs: a bundle for each task, named by its id, the pod's own first (a shim finds the others beside it),
 * /dev/shm of the pod, and where the shim listens.
 */
export class Bundles {
	readonly #dir: string;
	readonly #kernel: Kernel;

	constructor(runDir: string, sandboxId: string, kernel: Kernel) {
		this.#dir = join(runDir, 'shims', sandboxId);
		this.#kernel = kernel;
	}

	get shmDir(): string {
		return join(this.#dir, 'shm');
	}

	dirOf(taskId: string): string {
		return join(this.#dir, taskId);
	}

	/** Makes the bundle with its config. @throws {InvalidArgumentError} the config has what JSON cannot hold; nothing was made. */
	async make(taskId: string, spec: object): Promise<string> {
		const json = toJson(spec);
		const dir = this.dirOf(taskId);
		await mkdir(join(dir, 'rootfs'), {recursive: true, mode: 0o711});
		await writeFile(join(dir, 'config.json'), json, {mode: 0o600});
		return dir;
	}

	async hasTerminal(taskId: string): Promise<boolean> {
		const {process} = JSON.parse(await readFile(join(this.dirOf(taskId), 'config.json'), 'utf8')) as {readonly process?: {readonly terminal?: boolean}};
		return process?.terminal === true;
	}

	/** Idempotent. A root that is still mounted there is left alone, with an error. */
	async remove(taskId: string): Promise<void> {
		await this.#kernel.removeTree(this.dirOf(taskId));
	}

	/** Ids of the tasks that there are bundles of. */
	async list(): Promise<readonly string[]> {
		try {
			const entries = await readdir(this.#dir, {withFileTypes: true});
			return entries.filter(entry => entry.isDirectory() && entry.name !== 'shm').map(({name}) => name);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
			throw error;
		}
	}

	async writeAddress(address: ShimAddress): Promise<void> {
		await writeFileAtomic(join(this.#dir, 'address.json'), JSON.stringify(address));
	}

	/** null: there is none, the shim was never up. */
	async readAddress(): Promise<ShimAddress | null> {
		try {
			return JSON.parse(await readFile(join(this.#dir, 'address.json'), 'utf8')) as ShimAddress;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
			throw error;
		}
	}

	/** All of the pod, once its tasks are gone. */
	async clear(): Promise<void> {
		await this.#kernel.unmountDirectory(this.shmDir);
		await this.#kernel.removeTree(this.#dir);
		await rm(this.#dir, {recursive: true, force: true});
	}
}
