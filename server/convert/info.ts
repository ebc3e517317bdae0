import type {ImageRecord, PullProgress} from '../../image/image.js';
import type {ContainerRecord} from '../../runtime/container/record.js';
import type {SandboxRecord} from '../../runtime/sandbox/record.js';

/** The `info` map of a verbose reply: crictl shows the JSON of key "info" as `.info`. */
export type Info = {readonly info: string};

/** Pid and cgroup are what people look for in `crictl inspect`. No environment: it may hold secrets. */
export function toContainerInfo(record: ContainerRecord): Info {
	return toInfo({
		sandboxID: record.sandboxId,
		pid: record.state.phase === 'running' || record.state.phase === 'created' ? record.pid : 0,
		phase: record.state.phase,
		paused: record.paused === true,
		cgroupPath: record.cgroupPath,
		privileged: record.privileged,
		tty: record.tty,
		stdin: record.stdin,
		stdinOnce: record.stdinOnce,
		stopSignal: record.stopSignal,
		capabilities: hexadecimal(record.exec.capabilities),
		noNewPrivileges: record.exec.noNewPrivileges,
		seccomp: record.exec.seccompKey ?? 'unconfined',
		oomScoreAdj: record.exec.oomScoreAdj,
		cwd: record.exec.cwd,
	});
}

/** @param monitorPid null when the pod's monitor has ended. */
export function toSandboxInfo(record: SandboxRecord, monitorPid: number | null): Info {
	return toInfo({
		pid: monitorPid ?? 0,
		phase: record.state.phase,
		reason: record.state.phase === 'notReady' ? record.state.reason : '',
		hostname: record.hostname,
		netNsPath: record.attachment?.netnsPath ?? '',
		ips: record.ips,
		portMappings: record.attachment?.portMappings ?? [],
		cgroupParent: record.cgroupParent,
		logDirectory: record.logDirectory,
		filesDir: record.files.dir,
		privileged: record.privileged,
		dns: record.config.dns,
		sysctls: record.config.sysctls,
	});
}

export function toImageInfo(record: ImageRecord): Info {
	return toInfo({
		imageSpec: JSON.parse(record.configJson) as unknown,
		layers: record.layers,
		sizeBytes: record.sizeBytes,
		manifest: record.manifest === null ? null : {digest: record.manifest.digest, ...(JSON.parse(record.manifest.json) as object)},
	});
}

/** Read by `berth images pull`. */
export function toPullInfo({startedAtNs, ...progress}: PullProgress): {readonly pull: string} {
	return {pull: JSON.stringify({...progress, startedAt: new Date(Number(startedAtNs / 1_000_000n)).toISOString()})};
}

function toInfo(facts: object): Info {
	return {info: JSON.stringify(facts)};
}

function hexadecimal(sets: Readonly<Record<string, bigint>>): Record<string, string> {
	return Object.fromEntries(Object.entries(sets).map(([name, bits]) => [name, `0x${bits.toString(16)}`]));
}
