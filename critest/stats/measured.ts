import type {ClientReadableStream} from '@grpc/grpc-js';
import type {ContainerStats__Output, PodSandboxStats__Output, UInt64Value__Output} from '../../proto/cri.js';
import type {Daemon} from '../rig/daemon.js';

export function valueOf(value: UInt64Value__Output | null | undefined): bigint {
	if (value === null || value === undefined) throw new Error('a value is missing');
	return BigInt(value.value);
}

export async function containerStats({cri}: Daemon, containerId: string): Promise<ContainerStats__Output> {
	const {stats} = await cri.call('ContainerStats', {container_id: containerId});
	if (stats === null) throw new Error('no stats');
	return stats;
}

export async function podStats({cri}: Daemon, sandboxId: string): Promise<PodSandboxStats__Output> {
	const {stats} = await cri.call('PodSandboxStats', {pod_sandbox_id: sandboxId});
	if (stats === null) throw new Error('no stats');
	return stats;
}

/** Of the container's first process, from the verbose status. */
export async function pidOf({cri}: Daemon, containerId: string): Promise<number> {
	const {info} = await cri.call('ContainerStatus', {container_id: containerId, verbose: true});
	return (JSON.parse(info['info'] ?? '') as {readonly pid: number}).pid;
}

/** Runs a shell's script in the container. @returns stdout. @throws when its exit code is not 0. */
export async function execute({cri}: Daemon, containerId: string, script: string): Promise<string> {
	const {stdout, stderr, exit_code: exitCode} = await cri.call('ExecSync', {container_id: containerId, cmd: ['sh', '-c', script]});
	if (exitCode !== 0) throw new Error(`exit code ${exitCode}: ${Buffer.from(stderr).toString()}`);
	return Buffer.from(stdout).toString();
}

/** All messages of a call that answers with a stream. */
export async function allOf<T>(stream: ClientReadableStream<T>): Promise<readonly T[]> {
	const messages: T[] = [];
	for await (const message of stream as AsyncIterable<T>) messages.push(message);
	return messages;
}
