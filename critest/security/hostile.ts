import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import type {ContainerConfig, LinuxContainerSecurityContext, Mount, NamespaceMode, PodSandboxConfig} from '../../proto/cri.js';
import {PROJECT_DIR} from '../fixtures/images.js';
import type {Daemon} from '../rig/daemon.js';
import {readMessages, statusOf, toContainerConfig, until, type Pod} from '../rig/pods.js';

/** Where the static programs of programs/ are in a hostile container. */
const PROGRAMS_DIR = '/hostile';
/** CRI v1: NamespaceMode. */
export const MODE = {POD: 0 as NamespaceMode, CONTAINER: 1 as NamespaceMode, NODE: 2 as NamespaceMode} as const;
/** CRI v1: ContainerState. */
export const EXITED = 2;
/** CRI v1: SecurityProfile.ProfileType. */
export const RUNTIME_DEFAULT = {profile_type: 0} as const;

export const programMount: Mount = {host_path: join(PROJECT_DIR, 'build/critest/hostile'), container_path: PROGRAMS_DIR, readonly: true};

/** A pod whose PID namespace is the containers' own (CONTAINER) or the pod's (POD). It needs no network. */
export function podWithPid(pid: NamespaceMode): Partial<PodSandboxConfig> {
	return {linux: {security_context: {namespace_options: {network: MODE.NODE, pid}}}};
}

/** What the kubelet asks for with every container that is not privileged (procMount Default). */
export const COVERED: LinuxContainerSecurityContext = {
	masked_paths: [
		'/proc/asound',
		'/proc/acpi',
		'/proc/interrupts',
		'/proc/kcore',
		'/proc/keys',
		'/proc/latency_stats',
		'/proc/timer_list',
		'/proc/timer_stats',
		'/proc/sched_debug',
		'/proc/scsi',
		'/sys/firmware',
		'/sys/devices/virtual/powercap',
	],
	readonly_paths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
};

export interface HostileChoices {
	readonly pid?: NamespaceMode;
	readonly securityContext?: LinuxContainerSecurityContext;
	readonly changes?: Partial<ContainerConfig>;
}

/** A container that runs a program of programs/. */
export function hostileConfig(name: string, argv: readonly string[], choices: HostileChoices = {}): ContainerConfig {
	const {pid = MODE.CONTAINER, securityContext = {}, changes = {}} = choices;
	const [program = '', ...args] = argv;
	return toContainerConfig(name, [`${PROGRAMS_DIR}/${program}`, ...args], {
		stop_signal: 9,
		...changes,
		mounts: [programMount, ...(changes.mounts ?? [])],
		linux: {...changes.linux, security_context: {namespace_options: {network: MODE.NODE, pid}, ...securityContext}},
	});
}

export const withCapabilities = (...add: string[]): LinuxContainerSecurityContext => ({capabilities: {add_capabilities: add}});

export function messagesOf(pod: Pod, config: ContainerConfig): Promise<readonly string[]> {
	return readMessages(join(pod.logDirectory, config.log_path ?? ''));
}

/** @returns what it wrote. */
export async function waitForEnd(daemon: Daemon, pod: Pod, {id, config}: {readonly id: string; readonly config: ContainerConfig}): Promise<readonly string[]> {
	await until(
		'the hostile program ends',
		() => statusOf(daemon.cri, id),
		({state}) => state === EXITED,
		60_000,
	);
	return await messagesOf(pod, config);
}

/** The program is there and has begun. */
export async function waitForLine(pod: Pod, config: ContainerConfig, line: string): Promise<void> {
	await until(
		`the hostile program says ${line}`,
		(): Promise<readonly string[]> => messagesOf(pod, config).catch(() => []),
		lines => lines.includes(line),
	);
}

/** The program ended with "tries N …" and found nothing that it should not have; what it tried is shown. @returns the number. */
export function assertHeld(t: ExecutionContext, lines: readonly string[]): number {
	const [last = ''] = lines.slice(-1);
	t.log(last);
	t.deepEqual(
		lines.filter(line => line.startsWith('FOUND')),
		[],
	);
	const tries = Number(/^tries (\d+)/.exec(last)?.[1] ?? 0);
	t.true(tries > 0, `no number of tries in: ${last}`);
	return tries;
}
