import {copyFile, mkdir, mkdtemp, readdir, readFile, rm, rmdir, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {systemClock} from '../base/clock.js';
import {patientMs} from '../base/test-patience.js';
import {CGROUP_ROOT, toParentPlan} from './cgroup-rig.js';
import type {ExecRequest, ExitRecord, Launcher, LauncherOptions, LaunchSpec, MonitorRequest, ProcessSpec} from './native.js';
import {openNative} from './open-native.js';

/** What setup.sh built for the test images: the machine need not have a busybox. */
export const IMAGE_FILES_DIR = fileURLToPath(new URL('../../.cache/image-files', import.meta.url));

/** For root tests: a launcher of its own in a directory of its own, a busybox rootfs, and the facts that came up. */
export class LaunchRig {
	readonly dir: string;
	readonly exits = new Map<string, ExitRecord>();
	readonly lost: string[] = [];
	readonly #cgroup: string;
	#launchers: Launcher[] = [];
	#count = 0;

	private constructor(dir: string) {
		this.dir = dir;
		this.#cgroup = `${CGROUP_ROOT}/${path.basename(dir)}`;
	}

	static async open(): Promise<LaunchRig> {
		const rig = new LaunchRig(await mkdtemp(path.join(tmpdir(), 'berth-launch-')));
		for (const dir of ['run', 'root/lower/bin', 'root/lower/etc', 'root/lower/tmp', 'logs']) await mkdir(path.join(rig.dir, dir), {recursive: true});
		const bin = `${rig.dir}/root/lower/bin`;
		await copyFile(path.join(IMAGE_FILES_DIR, 'busybox'), `${bin}/busybox`);
		const applets = (await readFile(path.join(IMAGE_FILES_DIR, 'busybox.applets'), 'utf8')).split('\n').map(applet => path.basename(applet));
		for (const applet of new Set(applets)) if (applet !== '' && applet !== 'busybox') await symlink('busybox', `${bin}/${applet}`);
		return rig;
	}

	get options(): LauncherOptions {
		return {
			binaryPath: fileURLToPath(new URL('./berth-launcher', import.meta.url)),
			runDir: `${this.dir}/run`,
			rootDir: `${this.dir}/root`,
			cgroupDirs: [`${this.#cgroup}/launcher`],
			oomScoreAdj: 0,
		};
	}

	async openLauncher(): Promise<Launcher> {
		const launcher = await openNative().openLauncher(this.options, {
			onExit: (_sandboxId, containerId, exit) => void this.exits.set(containerId, exit),
			onMonitorLost: sandboxId => void this.lost.push(sandboxId),
		});
		this.#launchers.push(launcher);
		return launcher;
	}

	async exitOf(containerId: string): Promise<ExitRecord> {
		return await until(() => this.exits.get(containerId) ?? null);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const launcher of this.#launchers) launcher.close();
		const launcher = await this.openLauncher();
		for (const sandboxId of await launcher.listMonitors()) await (await launcher.findMonitor(sandboxId))?.destroy();
		await launcher.shutdown();
		await until(async () => ((await readFile(`${this.#cgroup}/launcher/cgroup.procs`, 'utf8').catch(() => '')) === '' ? true : null));
		for (const dir of [`${this.#cgroup}/launcher`, this.#cgroup]) await rmdir(dir).catch(() => {});
		await rm(this.dir, {recursive: true, force: true});
	}

	monitorRequest(sandboxId: string, more: Partial<MonitorRequest> = {}): MonitorRequest {
		return {
			sandboxId,
			namespaces: {network: true, ipc: true, uts: true, pid: false},
			hostname: 'pod-host',
			sysctls: [['net.ipv4.ip_unprivileged_port_start', '0']],
			shmSizeBytes: 1 << 20,
			cgroup: toParentPlan([this.#cgroup, `${this.#cgroup}/${sandboxId}`]),
			userNamespace: null,
			mountLabel: null,
			...more,
		};
	}

	/** A container of `sandboxId` that runs `script`. */
	async launchSpec(sandboxId: string, script: string, more: Partial<LaunchSpec> = {}): Promise<LaunchSpec> {
		const containerId = `c${++this.#count}`;
		const layer = `${this.dir}/root/${containerId}`;
		await mkdir(`${layer}/upper`, {recursive: true});
		await mkdir(`${layer}/work`);
		const cgroup = `${this.#cgroup}/${sandboxId}/${containerId}`;
		return {
			containerId,
			namespaces: {pid: 'new', cgroup: 'new'},
			cgroup: {dirs: [cgroup], writes: [{path: `${cgroup}/pids.max`, value: '100', required: true}], join: [cgroup]},
			rootfs: {lowerDirs: [`${this.dir}/root/lower`], upperDir: `${layer}/upper`, workDir: `${layer}/work`, readonly: false, propagation: 'private'},
			mounts: [
				{kind: 'filesystem', fstype: 'proc', target: '/proc', flags: 14, data: ''},
				{kind: 'filesystem', fstype: 'tmpfs', target: '/dev', flags: 2, data: 'mode=755,size=65536k'},
				{kind: 'filesystem', fstype: 'devpts', target: '/dev/pts', flags: 10, data: 'newinstance,ptmxmode=0666,mode=0620,gid=5'},
				{kind: 'shm', target: '/dev/shm'},
			],
			devices: [{path: '/dev/null', type: 'c', major: 1, minor: 3, mode: 0o666, uid: 0, gid: 0}],
			symlinks: [],
			maskedPaths: ['/proc/kcore'],
			readonlyPaths: ['/proc/sys'],
			process: shellProcess(script),
			log: {path: this.logPath(containerId), maxLineBytes: 4096},
			stdin: 'null',
			volumeDirs: ['/data'],
			timeOffsets: null,
			mountLabel: null,
			...more,
		};
	}

	execRequest(spec: LaunchSpec, script: string, more: Partial<ProcessSpec> = {}): ExecRequest {
		return {containerId: spec.containerId, execId: `e${++this.#count}`, process: {...shellProcess(script), ...more}, cgroupJoin: spec.cgroup.join};
	}

	logPath(containerId: string): string {
		return `${this.dir}/logs/${containerId}.log`;
	}

	/** The messages of a container's log, both streams. */
	async logLines(containerId: string): Promise<string[]> {
		const log = await readFile(this.logPath(containerId), 'utf8');
		return log
			.split('\n')
			.filter(Boolean)
			.map(line => line.split(' ').slice(3).join(' '));
	}

	async cgroupsOf(sandboxId: string): Promise<readonly string[]> {
		return (await readdir(`${this.#cgroup}/${sandboxId}`, {withFileTypes: true})).filter(entry => entry.isDirectory()).map(entry => entry.name);
	}
}

export function shellProcess(script: string): ProcessSpec {
	const all = 0xa80425fbn;
	return {
		args: ['sh', '-c', script],
		env: [Buffer.from('PATH=/bin')],
		cwd: '/',
		user: {spec: '', uid: null, gid: null, supplementalGids: [], groupsPolicy: 'merge'},
		capabilities: {bounding: all, effective: all, permitted: all, inheritable: 0n, ambient: 0n},
		noNewPrivileges: true,
		rlimits: [],
		oomScoreAdj: null,
		seccomp: null,
		tty: false,
		apparmorProfile: null,
		selinuxLabel: null,
	};
}

/** Asks again and again until the answer is not null. @throws after ten seconds (see base/test-patience.ts). */
export async function until<T>(ask: () => T | null | Promise<T | null>): Promise<T> {
	const deadlineMs = systemClock.monotonicMs() + patientMs(10_000);
	for (;;) {
		const answer = await ask();
		if (answer !== null) return answer;
		if (systemClock.monotonicMs() > deadlineMs) throw new Error('it did not come within ten seconds');
		await systemClock.sleep(5);
	}
}
