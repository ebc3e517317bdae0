import {mkdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {writeFileAtomic} from '../base/atomic-file.js';
import {CorruptError} from '../base/errors.js';
import {isJsonObject, parseNetworkConfig, type JsonObject, type NetworkConfig} from './config.js';

/** What DEL needs to know of an ADD. Written before the first plugin runs, so that a daemon that dies in between can still undo it. */
export interface CacheRecord {
	readonly network: NetworkConfig;
	/** Of the last plugin; null while ADD has not ended. */
	readonly result: JsonObject | null;
}

const FORMAT_VERSION = 1;

/** One small file per attached pod sandbox. Not synced: after a power cut there is no namespace, and DEL works from the current configuration. */
export class AttachCache {
	readonly #dir: string;

	private constructor(dir: string) {
		this.#dir = dir;
	}

	static async open(dir: string): Promise<AttachCache> {
		await mkdir(dir, {recursive: true, mode: 0o700});
		return new AttachCache(dir);
	}

	async put(sandboxId: string, record: CacheRecord): Promise<void> {
		await writeFileAtomic(this.#path(sandboxId), JSON.stringify({version: FORMAT_VERSION, ...record}));
	}

	/**
	 * null when there is none.
	 *
	 * @throws {CorruptError} naming the file.
	 */
	async get(sandboxId: string): Promise<CacheRecord | null> {
		const path = this.#path(sandboxId);
		let text: string;
		try {
			text = await readFile(path, 'utf8');
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
			throw error;
		}
		try {
			return toRecord(JSON.parse(text));
		} catch (cause) {
			throw new CorruptError(`cached network result ${path} is unreadable: ${(cause as Error).message}`, {path}, {cause});
		}
	}

	async delete(sandboxId: string): Promise<void> {
		await rm(this.#path(sandboxId), {force: true});
	}

	/** sandboxId was checked against CNI_NAME: it has no slash. */
	#path(sandboxId: string): string {
		return join(this.#dir, `${sandboxId}.json`);
	}
}

function toRecord(value: unknown): CacheRecord {
	if (!isJsonObject(value) || value['version'] !== FORMAT_VERSION) throw new Error(`version must be ${FORMAT_VERSION}`);
	const {network, result} = value;
	if (!isJsonObject(network) || (result !== null && !isJsonObject(result))) throw new Error('network or result is not an object');
	// The same rules as for a file of the conf dir, above all: a plugin type is no path.
	const parsed = parseNetworkConfig('cache.conflist', JSON.stringify(network));
	return {network: {...parsed, source: String(network['source'])}, result};
}
