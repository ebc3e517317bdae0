import {constants} from 'node:fs';
import {access, chmod, copyFile, mkdir, readdir, rename, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {Clock} from '../../../base/clock.js';
import type {Logger} from '../../../base/log.js';
import type {Kernel, Launcher, MonitorRequest} from '../../../native/native.js';
import type {ShimWire} from '../../../proto/shim.js';
import {absoluteDirs, type CgroupHierarchies} from '../../cgroup/hierarchies.js';
import {toPodCgroupName, type CgroupNaming} from '../../cgroup/names.js';
import type {SandboxRecord} from '../../sandbox/record.js';
import type {HandlerOptions, RuntimeHandler} from '../handler.js';
import {serveShimEvents, shimEventsPath} from './events.js';
import {toTaskOptions} from './options.js';
import {ShimPod, type ShimHost} from './pod.js';
import type {TtrpcServer} from './ttrpc-server.js';

/** A socket's path has 107 characters; a shim adds "/" and the 64 of a digest to the directory. */
const LONGEST_SOCKET_DIR = 42;

export interface ShimParts {
	readonly launcher: Launcher;
	readonly kernel: Kernel;
	readonly clock: Clock;
	readonly log: Logger;
	readonly cgroups: CgroupHierarchies;
	readonly naming: CgroupNaming;
	readonly runDir: string;
	readonly rootDir: string;
	/** Is also the program "pause". */
	readonly launcherBinaryPath: string;
	loadWire(): ShimWire;
}

/** What all handlers of type `shim-v2` have in common: the socket for their events, and the root of the pods' first process. */
export class Shims {
	readonly #parts: ShimParts;
	readonly #wire: ShimWire;
	readonly #ooms: Set<string>;
	readonly #events: TtrpcServer;

	private constructor(parts: ShimParts, {wire, ooms, events}: {readonly wire: ShimWire; readonly ooms: Set<string>; readonly events: TtrpcServer}) {
		this.#parts = parts;
		this.#wire = wire;
		this.#ooms = ooms;
		this.#events = events;
	}

	static async open(parts: ShimParts): Promise<Shims> {
		const ooms = new Set<string>();
		const wire = parts.loadWire();
		await makePauseRoot(parts);
		const events = await serveShimEvents(parts.runDir, wire, {onOom: taskId => void ooms.add(taskId)});
		return new Shims(parts, {wire, ooms, events});
	}

	/** @throws {InvalidArgumentError} its options. */
	async openHandler(options: HandlerOptions): Promise<RuntimeHandler> {
		const {launcher} = this.#parts;
		const host = this.#toHost(options);
		return {
			name: options.name,
			type: 'shim-v2',
			// The runtime behind the shim would have to say so; none is asked.
			features: {recursiveReadOnlyMounts: false, userNamespaces: false},
			problem: await findProblem(options.path),
			createPod: async (record, request) => {
				const monitor = await launcher.createMonitor(toOwnRequest(request, host.shimCgroups(record)));
				return new ShimPod(host, record, {monitor, shmSizeBytes: request.shmSizeBytes});
			},
			findPod: async record => {
				const monitor = await launcher.findMonitor(record.id);
				if (monitor === null) return null;
				const pod = new ShimPod(host, record, {monitor, shmSizeBytes: null});
				await pod.reconnect();
				return pod;
			},
			forgetPod: async record => {
				if (await hasBundles(this.#parts.runDir, record.id)) {
					const pod = new ShimPod(host, record, {monitor: null, shmSizeBytes: null});
					await pod.reconnect();
					await pod.destroy();
				}
				await launcher.forgetPod(record.id);
			},
		};
	}

	async close(): Promise<void> {
		await this.#events.close();
	}

	#toHost(options: HandlerOptions): ShimHost {
		const {kernel, clock, log, runDir, rootDir, cgroups, naming} = this.#parts;
		const socketDir = join(runDir, 's');
		return {
			kernel,
			clock,
			log,
			wire: this.#wire,
			runDir,
			handler: options,
			options: toTaskOptions(options, this.#wire, join(runDir, 'runc')),
			pauseDir: pauseDir(rootDir),
			binary: {
				path: options.path,
				timeoutMs: options.timeoutMs,
				eventsPath: shimEventsPath(runDir),
				socketDir: socketDir.length <= LONGEST_SOCKET_DIR ? socketDir : null,
				env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
			},
			shimCgroups: (record: SandboxRecord) => absoluteDirs(cgroups, join(record.cgroupParent, `shim-${record.id}`)),
			pauseCgroupName: (record: SandboxRecord) => toPodCgroupName(naming, record) ?? record.id,
			takeOom: taskId => this.#ooms.delete(taskId),
		};
	}
}

function toOwnRequest(request: MonitorRequest, dirs: readonly string[]): MonitorRequest {
	// PID 1 of a pod with a PID namespace of its own is the pod's task.
	return {...request, namespaces: {...request.namespaces, pid: false}, cgroup: {...request.cgroup, dirs: [...request.cgroup.dirs, ...dirs]}};
}

function pauseDir(rootDir: string): string {
	return join(rootDir, 'pause');
}

/** The root of the pods' first process: one static program, and places for what is mounted. */
async function makePauseRoot({rootDir, launcherBinaryPath}: ShimParts): Promise<void> {
	const dir = pauseDir(rootDir);
	for (const place of ['proc', 'dev', 'sys']) await mkdir(join(dir, place), {recursive: true, mode: 0o755});
	const temporary = join(dir, '.pause.new');
	await copyFile(launcherBinaryPath, temporary);
	await chmod(temporary, 0o555);
	await rename(temporary, join(dir, 'pause'));
}

async function hasBundles(runDir: string, sandboxId: string): Promise<boolean> {
	try {
		return (await readdir(join(runDir, 'shims', sandboxId))).length > 0;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
		throw error;
	}
}

/** null: it can be used. */
async function findProblem(path: string): Promise<string | null> {
	try {
		await access(path, constants.X_OK);
		return (await stat(path)).isFile() ? null : `${path} is not a file`;
	} catch (error) {
		return (error as Error).message;
	}
}
