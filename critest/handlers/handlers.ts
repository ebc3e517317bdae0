import {join} from 'node:path';
import type {ContainerConfig} from '../../proto/cri.js';
import type {Daemon} from '../rig/daemon.js';
import {readMessages, runContainer, statusOf, until, type Pod} from '../rig/pods.js';

/** Each test of a container runs under all of these: '' is native. What they do is to be the same. */
export const HANDLERS = ['', 'runc', 'crun'] as const;

/** Lines of [runtime] that configure them, as setup.sh installs them. */
export const RUNTIME = `[runtime.handlers.runc]
type = "oci"
path = "/usr/sbin/runc"
[runtime.handlers.crun]
type = "oci"
path = "/usr/bin/crun"
`;

/** CRI v1. */
export const EXITED = 2;
export const RUNNING = 1;
export const MODE = {POD: 0, CONTAINER: 1, NODE: 2, TARGET: 3} as const;

export const nameOf = (handler: string): string => (handler === '' ? 'native' : handler);

/** Waits for the end of a container. */
export async function exitOf(daemon: Daemon, id: string): Promise<{readonly exitCode: number; readonly reason: string}> {
	const {exit_code: exitCode, reason} = await until(
		'the container ends',
		() => statusOf(daemon.cri, id),
		({state}) => state === EXITED,
	);
	return {exitCode, reason};
}

/** Runs a container to its end. @returns what it logged. */
export async function messagesOf(daemon: Daemon, pod: Pod, config: ContainerConfig): Promise<readonly string[]> {
	await exitOf(daemon, await runContainer(daemon.cri, pod, config));
	return await readMessages(join(pod.logDirectory, config.log_path ?? ''));
}

/** @returns the lines that it wrote to stdout. @throws when it fails. */
export async function execute(daemon: Daemon, container_id: string, script: string): Promise<readonly string[]> {
	const {stdout, stderr, exit_code} = await daemon.cri.call('ExecSync', {container_id, cmd: ['sh', '-c', script]});
	if (exit_code !== 0) throw new Error(`exit code ${exit_code}: ${Buffer.from(stderr).toString()}`);
	return Buffer.from(stdout).toString().trimEnd().split('\n');
}

/** A running container's log once it has that many lines. */
export async function logOf(pod: Pod, name: string, count: number): Promise<readonly string[]> {
	return await until(
		`${name} has logged ${count} lines`,
		() => readMessages(join(pod.logDirectory, `${name}.log`)),
		lines => lines.length >= count,
	);
}
