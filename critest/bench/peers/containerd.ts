import {spawn, type ChildProcess} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {mkdir, open, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {systemClock} from '../../../base/clock.js';
import {PROJECT_DIR} from '../../fixtures/images.js';
import {runOk} from '../../rig/command.js';
import {openCriClient, type CriClient} from '../../rig/cri-client.js';

const START_TIMEOUT_MS = 60_000;

export interface ContainerdChoices {
	/** Persistent state goes below it. */
	readonly parentDir: string;
	/** The registry host that `mirror`, a base URL, stands in for. */
	readonly registryHost: string;
	readonly mirror: string;
	/** Its setting image_pull_with_sync_fs; it is off unless an operator sets it. */
	readonly syncFs: boolean;
}

/** containerd as build.sh made it, with all state of its own. */
export interface Containerd extends AsyncDisposable {
	readonly cri: CriClient;
	readonly pid: number;
	readonly version: string;
	readonly rootDir: string;
}

/** @throws when it does not answer within a minute, with the end of its log. */
export async function startContainerd(choices: ContainerdChoices): Promise<Containerd> {
	const name = `berth-peer-${randomBytes(3).toString('hex')}`;
	const baseDir = join(choices.parentDir, name);
	// Sockets have at most 107 bytes, and state belongs on a tmpfs.
	const stateDir = join('/dev/shm', name);
	await writeConfigs(baseDir, stateDir, choices);
	const logFile = join(baseDir, 'containerd.log');
	const log = await open(logFile, 'a');
	const argv = ['-c', join(baseDir, 'config.toml')];
	const child = spawn(join(PROJECT_DIR, '.cache/peers/containerd'), argv, {
		stdio: ['ignore', log.fd, log.fd],
		env: {...process.env, TMPDIR: join(baseDir, 'tmp')},
	});
	await log.close();
	const cri = openCriClient(join(stateDir, 'containerd.sock'));
	const dispose = async (): Promise<void> => {
		cri.close();
		await end(child);
		for (const point of await mountsBelow([baseDir, stateDir])) await runOk(['umount', '-l', point]);
		await rm(baseDir, {recursive: true, force: true});
		await rm(stateDir, {recursive: true, force: true});
	};
	try {
		const version = await untilServing(child, cri, logFile);
		return {cri, pid: child.pid ?? 0, version, rootDir: join(baseDir, 'root'), [Symbol.asyncDispose]: dispose};
	} catch (error) {
		await dispose();
		throw error;
	}
}

async function writeConfigs(baseDir: string, stateDir: string, {registryHost, mirror, syncFs}: ContainerdChoices): Promise<void> {
	const hostDir = join(baseDir, 'certs.d', registryHost);
	for (const dir of [hostDir, join(baseDir, 'tmp'), join(baseDir, 'empty'), stateDir]) await mkdir(dir, {recursive: true});
	await writeFile(join(hostDir, 'hosts.toml'), `server = "${mirror}"\n[host."${mirror}"]\ncapabilities = ["pull", "resolve"]\n`);
	// What is not said here is as containerd has it: overlayfs, blobs kept, the transfer service.
	const config = `version = 4
root = "${baseDir}/root"
state = "${stateDir}/state"
imports = []
[debug]
  level = "warn"
[plugins.'io.containerd.server.v1.grpc']
  address = "${stateDir}/containerd.sock"
[plugins.'io.containerd.server.v1.ttrpc']
  address = "${stateDir}/containerd.sock.ttrpc"
[plugins.'io.containerd.internal.v1.opt']
  path = "${baseDir}/opt"
[plugins.'io.containerd.shim.v1.manager']
  socket_dir = "${stateDir}/s"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images']
  image_pull_with_sync_fs = ${String(syncFs)}
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "${baseDir}/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  cdi_spec_dirs = ["${baseDir}/empty"]
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "${baseDir}/empty"
`;
	await writeFile(join(baseDir, 'config.toml'), config);
}

/** @returns its version. */
async function untilServing(child: ChildProcess, cri: CriClient, logFile: string): Promise<string> {
	let failure = '';
	child.once('error', ({message}) => (failure = message));
	const endMs = systemClock.monotonicMs() + START_TIMEOUT_MS;
	for (;;) {
		try {
			const {runtime_version: version} = await cri.call('Version', {}, 1000);
			// The image service is another plugin, and may be up later.
			await cri.image('ListImages', {}, 1000);
			return version;
		} catch (error) {
			const over = failure !== '' || child.exitCode !== null || child.signalCode !== null || systemClock.monotonicMs() > endMs;
			if (over) throw new Error(`containerd does not serve: ${failure}\n${(await readFile(logFile, 'utf8')).slice(-4000)}`, {cause: error});
		}
		await systemClock.sleep(100);
	}
}

async function end(child: ChildProcess): Promise<void> {
	if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
	const ended = new Promise<void>(resolve => child.once('exit', () => resolve()));
	AbortSignal.timeout(10_000).addEventListener('abort', () => child.kill('SIGKILL'), {once: true});
	child.kill('SIGTERM');
	await ended;
}

/** What a pull that was cut short leaves mounted; deepest first. */
async function mountsBelow(dirs: readonly string[]): Promise<readonly string[]> {
	const points = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map(line => line.split(' ')[4] ?? '');
	return points
		.filter(point => dirs.some(dir => point.startsWith(`${dir}/`)))
		.sort()
		.reverse();
}
