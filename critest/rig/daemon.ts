import {spawn, type ChildProcess} from 'node:child_process';
import {mkdir, open, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {systemClock} from '../../base/clock.js';
import {patientMs} from '../../base/test-patience.js';
import {HOSTS, PROJECT_DIR} from '../fixtures/images.js';
import type {Registry} from '../fixtures/registry.js';
import {run, runOk, type Ended} from './command.js';
import {openCriClient, type CriClient} from './cri-client.js';
import {findLeaks} from './leaks.js';
import {newPlaces, toConfigText, type Places} from './places.js';
import {wipe} from './wipe.js';

export const TOOLS_DIR = join(PROJECT_DIR, '.cache/tools');
const START_TIMEOUT_MS = 20_000;

/** A daemon of the test's own. `await using` takes everything away again. */
export interface Daemon extends AsyncDisposable {
	readonly places: Places;
	readonly cri: CriClient;
	/** Of the running process. @throws when none runs. */
	pid(): number;
	/** Starts the daemon and waits until it answers Version. @throws with the end of its log. */
	start(): Promise<void>;
	/** SIGTERM, and waits for the end. */
	stop(): Promise<void>;
	/** SIGKILL, and waits for the end. */
	kill(): Promise<void>;
	/** The command line of crictl against this daemon. */
	crictlArgv(args: readonly string[]): readonly string[];
	/** crictl against this daemon; any exit code is an answer. */
	crictl(args: readonly string[], timeoutMs?: number): Promise<Ended>;
	log(): Promise<string>;
	/** What is left, after a moment's patience for what ends by itself; [] = nothing. */
	leaks(): Promise<readonly string[]>;
}

export interface DaemonChoices {
	/** Lines of the config's table [network]. */
	readonly network?: string;
	/** Lines of the config's table [image]. */
	readonly image?: string | ((places: Places) => string);
	/** Lines of the config's table [runtime], and tables below it. */
	readonly runtime?: string;
	/** The config's `identity`. */
	readonly identity?: 'berth' | 'cri-o';
	/** The root directory is a tmpfs of this size: a disk that can be full. */
	readonly rootDirMiB?: number;
	/** Files to lie in the CNI conf dir, by name. */
	readonly networkConfigs?: Readonly<Record<string, object>>;
	readonly logLevel?: 'debug' | 'warn';
	/** Elsewhere than usual, on a disk of the test's; removed with the daemon all the same. */
	readonly rootDir?: string;
	/** Added to the daemon's environment. */
	readonly env?: Readonly<Record<string, string>>;
}

export async function startDaemon(registry: Pick<Registry, 'url'>, choices: DaemonChoices = {}): Promise<Daemon> {
	const {network = '', runtime = '', networkConfigs = {}, logLevel = 'debug', rootDir = null, rootDirMiB, env = {}, identity = 'berth'} = choices;
	const places = newPlaces(rootDir);
	const image = typeof choices.image === 'function' ? choices.image(places) : (choices.image ?? '');
	for (const directory of [places.rootDir, places.runDir, places.netnsDir, places.confDir, places.scratchDir]) await mkdir(directory, {recursive: true});
	if (rootDirMiB !== undefined) await runOk(['mount', '-t', 'tmpfs', '-o', `size=${rootDirMiB}m,mode=700`, 'tmpfs', places.rootDir]);
	await writeFile(places.configFile, toConfigText(places, {hosts: HOSTS, mirror: registry.url, logLevel, network, image, runtime, identity}));
	// crictl refuses to start without one; the endpoints are given as flags.
	await writeFile(join(places.baseDir, 'crictl.yaml'), 'timeout: 60\n');
	for (const [name, config] of Object.entries(networkConfigs)) await writeFile(join(places.confDir, name), JSON.stringify(config));
	const daemon = new RigDaemon(places, env);
	try {
		await daemon.start();
	} catch (error) {
		await daemon[Symbol.asyncDispose]();
		throw error;
	}
	return daemon;
}

class RigDaemon implements Daemon {
	readonly cri: CriClient;
	#child: ChildProcess | null = null;

	constructor(
		readonly places: Places,
		readonly env: Readonly<Record<string, string>>,
	) {
		this.cri = openCriClient(places.socket);
	}

	pid(): number {
		if (this.#child?.pid === undefined) throw new Error('no daemon runs');
		return this.#child.pid;
	}

	async start(): Promise<void> {
		const log = await open(this.places.daemonLog, 'a');
		try {
			this.#child = spawn(join(PROJECT_DIR, 'bin/berth'), ['serve', '--config', this.places.configFile], {
				env: {...process.env, ...this.env},
				stdio: ['ignore', log.fd, log.fd],
			});
		} finally {
			await log.close();
		}
		const child = this.#child;
		child.once('exit', () => {
			if (this.#child === child) this.#child = null;
		});
		await this.#answer(child);
	}

	async #answer(child: ChildProcess): Promise<void> {
		const endMs = systemClock.monotonicMs() + patientMs(START_TIMEOUT_MS);
		for (;;) {
			try {
				await this.cri.call('Version', {}, 1000);
				return;
			} catch (error) {
				const over = child.exitCode !== null || child.signalCode !== null || systemClock.monotonicMs() > endMs;
				if (over) throw new Error(`the daemon does not serve:\n${(await this.log()).slice(-4000)}`, {cause: error});
			}
			await systemClock.sleep(50);
		}
	}

	stop(): Promise<void> {
		return this.#end('SIGTERM');
	}

	kill(): Promise<void> {
		return this.#end('SIGKILL');
	}

	async #end(signal: NodeJS.Signals): Promise<void> {
		const child = this.#child;
		if (child === null) return;
		const ended = new Promise<void>(resolve => child.once('exit', () => resolve()));
		child.kill(signal);
		await ended;
	}

	crictlArgv(args: readonly string[]): readonly string[] {
		const endpoint = `unix://${this.places.socket}`;
		const config = join(this.places.baseDir, 'crictl.yaml');
		return [
			join(TOOLS_DIR, 'crictl'),
			'--config',
			config,
			'--runtime-endpoint',
			endpoint,
			'--image-endpoint',
			endpoint,
			'--timeout',
			`${patientMs(60_000)}ms`,
			...args,
		];
	}

	crictl(args: readonly string[], timeoutMs = 60_000): Promise<Ended> {
		return run(this.crictlArgv(args), {timeoutMs});
	}

	log(): Promise<string> {
		return readFile(this.places.daemonLog, 'utf8');
	}

	async leaks(): Promise<readonly string[]> {
		const endMs = systemClock.monotonicMs() + patientMs(3000);
		for (;;) {
			const leaks = await findLeaks(this.places, this.#child === null ? null : this.cri);
			if (leaks.length === 0 || systemClock.monotonicMs() > endMs) return leaks;
			await systemClock.sleep(100);
		}
	}

	/** Pods by the CRI while it works, then the daemon, then by force whatever of the run is left. */
	async [Symbol.asyncDispose](): Promise<void> {
		try {
			if (this.#child !== null) await removePods(this.cri);
		} catch (error) {
			process.stderr.write(`rig: pods not removed: ${(error as Error).message}\n`);
		}
		await this.stop();
		this.cri.close();
		await wipe(this.places);
		if (process.env['BERTH_KEEP_LOGS'] === undefined) await rm(this.places.baseDir, {recursive: true, force: true});
	}
}

export async function removePods(cri: CriClient): Promise<void> {
	const {items} = await cri.call('ListPodSandbox', {});
	for (const {id} of items) {
		await cri.call('StopPodSandbox', {pod_sandbox_id: id});
		await cri.call('RemovePodSandbox', {pod_sandbox_id: id});
	}
}
