import {randomBytes} from 'node:crypto';
import {chown, mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import type {Logger} from '../../base/log.js';
import type {Kernel, Launcher, LaunchSpec, MonitorRequest} from '../../native/native.js';

/** Whether this machine gives pods user namespaces, and why not. */
export interface UserNamespaceSupport {
	readonly supported: boolean;
	readonly reason: string;
}

/** As the kubelet takes them: the second 65,536 ids of the node. */
const IDS = {first: 65_536, count: 65_536} as const;

/**
 * Tries it: a pod with a user namespace and a container that is all set up, over id-mapped layers on the filesystem of the layers, and never started.
 * What the kernel, its limits (user.max_user_namespaces), the filesystem or an earlier launcher refuse shows here, and not in the first pod.
 * Never throws.
 */
export async function probeUserNamespaces(
	rootDir: string,
	parts: {readonly launcher: Launcher; readonly kernel: Kernel; readonly log: Logger},
): Promise<UserNamespaceSupport> {
	const {launcher, kernel, log} = parts;
	const dir = join(rootDir, 'probe');
	let support: UserNamespaceSupport;
	try {
		await kernel.removeTree(dir);
		await tryContainer(launcher, dir);
		support = {supported: true, reason: 'layers and volumes are id-mapped'};
	} catch (error) {
		support = {supported: false, reason: (error as Error).message};
		log.warn({err: error}, 'no user namespaces for pods on this node');
	}
	try {
		await kernel.removeTree(dir);
	} catch (error) {
		log.warn({dir, err: error}, 'directory of a probe not removed');
	}
	return support;
}

async function tryContainer(launcher: Launcher, dir: string): Promise<void> {
	for (const name of ['lower', 'upper', 'work']) await mkdir(join(dir, name), {recursive: true});
	await chown(join(dir, 'upper'), IDS.first, IDS.first);
	const sandboxId = `probe-${randomBytes(8).toString('hex')}`;
	const monitor = await launcher.createMonitor(toRequest(sandboxId));
	try {
		await monitor.createContainer(toSpec(sandboxId, dir));
	} finally {
		await monitor.destroy();
	}
}

const NO_CGROUP = {dirs: [], writes: [], join: []};

function toRequest(sandboxId: string): MonitorRequest {
	return {
		sandboxId,
		namespaces: {network: false, ipc: true, uts: false, pid: false},
		hostname: null,
		sysctls: [],
		shmSizeBytes: null,
		cgroup: NO_CGROUP,
		userNamespace: {uids: IDS, gids: IDS},
		mountLabel: null,
	};
}

function toSpec(containerId: string, dir: string): LaunchSpec {
	return {
		containerId,
		namespaces: {pid: 'new', cgroup: 'new'},
		cgroup: NO_CGROUP,
		rootfs: {lowerDirs: [join(dir, 'lower')], upperDir: join(dir, 'upper'), workDir: join(dir, 'work'), readonly: false, propagation: 'private'},
		mounts: [],
		devices: [{path: '/dev/null', type: 'c', major: 1, minor: 3, mode: 0o666, uid: IDS.first, gid: IDS.first}],
		symlinks: [],
		maskedPaths: [],
		readonlyPaths: [],
		process: {
			args: ['/never-run'],
			env: [],
			cwd: '/',
			user: {spec: '', uid: 0, gid: 0, supplementalGids: [], groupsPolicy: 'strict'},
			capabilities: {bounding: 0n, effective: 0n, permitted: 0n, inheritable: 0n, ambient: 0n},
			noNewPrivileges: true,
			rlimits: [],
			oomScoreAdj: null,
			seccomp: null,
			tty: false,
			apparmorProfile: null,
			selinuxLabel: null,
		},
		log: null,
		stdin: 'null',
		volumeDirs: [],
		timeOffsets: null,
		mountLabel: null,
	};
}
