import {spawn} from 'node:child_process';
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {PROJECT_DIR} from '../../fixtures/images.js';

/** What a peer's container must have to be the same as ours. */
export interface PeerContainer {
	/** Of a container that the daemon had the runtime make: its config is taken, but for the sources of its mounts. */
	readonly configFile: string;
	/** Host paths by the place that they have in the container. */
	readonly sources: Readonly<Record<string, string>>;
	/** Process in whose network, IPC and UTS namespace it is to be. */
	readonly namespacePid: number;
	/** Below it each container has its cgroup. */
	readonly cgroupPath: string;
	/** runtime-spec's LinuxResources: the limits, which the daemon writes itself. */
	readonly resources: object;
	/** Topmost first. */
	readonly lowerDirs: readonly string[];
}

/** Runs `crun run --detach` and the like, one at a time. */
export interface RuntimeRunner extends AsyncDisposable {
	/** @returns milliseconds that the binary took, measured beside it. */
	run(binary: string): Promise<number>;
}

interface Config {
	readonly mounts: readonly {readonly destination: string; readonly type: string; readonly source: string}[];
	readonly linux: {readonly namespaces: readonly object[]; readonly resources: object};
}

export async function openRuntimeRunner(bundle: string, container: PeerContainer): Promise<RuntimeRunner> {
	await mkdir(bundle, {recursive: true});
	await writeFile(join(bundle, 'config.in'), JSON.stringify(toConfig(JSON.parse(await readFile(container.configFile, 'utf8')) as Config, container)));
	const script = join(PROJECT_DIR, 'critest/bench/peers/run-runtime.sh');
	const child = spawn('unshare', ['--mount', '--propagation', 'private', script, bundle, container.lowerDirs.join(':')], {stdio: ['pipe', 'pipe', 'inherit']});
	const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
	let count = 0;
	return {
		run: async binary => {
			child.stdin.write(`${binary} run-${count++}\n`);
			const {value} = (await lines.next()) as {readonly value?: string};
			if (!/^\d+$/.test(value ?? '')) throw new Error(`${binary}: ${value ?? 'the script has ended'}`);
			return Number(value) / 1000;
		},
		[Symbol.asyncDispose]: async () => {
			const ended = new Promise(resolve => child.once('close', resolve));
			child.stdin.end();
			await ended;
		},
	};
}

function toConfig(config: Config, {sources, namespacePid, cgroupPath, resources}: PeerContainer): object {
	const mounts = config.mounts.map(mount => {
		if (mount.type !== 'bind') return mount;
		const source = sources[mount.destination];
		if (source === undefined) throw new Error(`no source for the mount at ${mount.destination}`);
		return {...mount, source};
	});
	const joined = ['network', 'ipc', 'uts'].map(type => ({type, path: `/proc/${namespacePid}/ns/${type === 'network' ? 'net' : type}`}));
	const {linux} = config;
	return {
		...config,
		mounts,
		linux: {...linux, cgroupsPath: `${cgroupPath}/@ID@`, namespaces: [...linux.namespaces, ...joined], resources: {...linux.resources, ...resources}},
	};
}
