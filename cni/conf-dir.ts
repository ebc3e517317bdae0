import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Logger} from '../base/log.js';
import type {CniOptions} from './cni.js';
import {isConfigFileName, parseNetworkConfig, type NetworkConfig} from './config.js';
import {DirWatch} from './dir-watch.js';
import {embeddedNetwork} from './embedded.js';
import {findPlugin} from './exec.js';
import type {NetworkFacts} from './status.js';

/** Knows which network is in use, by watching the conf dir and the bin dirs. */
export class ConfDir {
	readonly #options: CniOptions;
	readonly #log: Logger;
	readonly #watches: readonly DirWatch[];
	#facts: NetworkFacts = {network: null, broken: [], missingPlugin: ''};
	#reading: Promise<void> | null = null;
	#stale = false;

	private constructor(options: CniOptions, log: Logger) {
		this.#options = options;
		this.#log = log;
		this.#watches = [...new Set([options.confDir, ...options.binDirs])].map(dir => new DirWatch(dir, () => void this.#refresh(), {log}));
	}

	static async open(options: CniOptions, log: Logger): Promise<ConfDir> {
		const confDir = new ConfDir(options, log);
		await confDir.#refresh();
		return confDir;
	}

	get facts(): NetworkFacts {
		return this.#facts;
	}

	async close(): Promise<void> {
		for (const watch of this.#watches) watch.close();
		await this.#reading;
	}

	/** One reading at a time; a change meanwhile is read after it. Never rejects. */
	#refresh(): Promise<void> {
		this.#stale = true;
		this.#reading ??= this.#readWhileStale().finally(() => (this.#reading = null));
		return this.#reading;
	}

	async #readWhileStale(): Promise<void> {
		while (this.#stale) {
			this.#stale = false;
			const facts = await readNetwork(this.#options);
			const before = this.#facts;
			this.#facts = facts;
			this.#tell(before, facts);
		}
	}

	#tell(before: NetworkFacts, {network, broken, missingPlugin}: NetworkFacts): void {
		for (const reason of broken) if (!before.broken.includes(reason)) this.#log.warn({reason}, 'network configuration passed over');
		if (JSON.stringify(network) !== JSON.stringify(before.network) || missingPlugin !== before.missingPlugin) {
			this.#log.info({network: network?.name ?? null, source: network?.source ?? null, missingPlugin}, 'pod network');
		}
	}
}

/** Reads everything anew. Whatever cannot be read becomes an entry of `broken`. */
export async function readNetwork(options: CniOptions): Promise<NetworkFacts> {
	const broken: string[] = [];
	let network = await firstValid(options.confDir, broken);
	// Broken files mean that somebody wants another network: the embedded one would only hide that.
	if (network === null && broken.length === 0 && options.embedded !== null) network = embeddedNetwork(options.embedded);
	return {network, broken, missingPlugin: network === null ? '' : await missingPlugin(options.binDirs, network)};
}

/** The lexicographically first valid file wins, as in containerd and CRI-O. */
async function firstValid(dir: string, broken: string[]): Promise<NetworkConfig | null> {
	let winner: NetworkConfig | null = null;
	for (const fileName of await configFiles(dir, broken)) {
		try {
			const config = parseNetworkConfig(fileName, await readFile(join(dir, fileName), 'utf8'));
			winner ??= config;
		} catch (error) {
			// Removed since it was listed: not there is not broken.
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
			const {message} = error as Error;
			broken.push(message.startsWith(`${fileName}: `) ? message : `${fileName}: ${message}`);
		}
	}
	return winner;
}

async function configFiles(dir: string, broken: string[]): Promise<readonly string[]> {
	try {
		return (await readdir(dir)).filter(isConfigFileName).sort();
	} catch (error) {
		const {code, message} = error as NodeJS.ErrnoException;
		if (code !== 'ENOENT') broken.push(message);
		return [];
	}
}

async function missingPlugin(binDirs: readonly string[], network: NetworkConfig): Promise<string> {
	for (const {type} of network.plugins) {
		try {
			await findPlugin(binDirs, type);
		} catch (error) {
			return (error as Error).message;
		}
	}
	return '';
}
