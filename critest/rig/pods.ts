import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {randomUUID} from 'node:crypto';
import {systemClock} from '../../base/clock.js';
import {patientMs} from '../../base/test-patience.js';
import type {ContainerConfig, ContainerStatus__Output, NamespaceMode, PodSandboxConfig} from '../../proto/cri.js';
import {BUSYBOX_IMAGE} from '../fixtures/images.js';
import type {CriClient} from './cri-client.js';
import type {Daemon} from './daemon.js';

/** CRI v1: NamespaceMode. */
const NODE: NamespaceMode = 2 as NamespaceMode;

export interface Pod {
	readonly id: string;
	readonly config: PodSandboxConfig;
	readonly logDirectory: string;
}

/** @param hostNetwork true: the pod needs no CNI. */
export async function toPodConfig(daemon: Daemon, name: string, hostNetwork: boolean): Promise<PodSandboxConfig & {readonly log_directory: string}> {
	const logDirectory = join(daemon.places.scratchDir, 'logs', name);
	await mkdir(logDirectory, {recursive: true});
	return {
		metadata: {name, uid: randomUUID(), namespace: 'test', attempt: 0},
		log_directory: logDirectory,
		linux: {security_context: {namespace_options: {network: hostNetwork ? NODE : 0}}},
	};
}

/** @param handler null: the default one. */
export async function runPodBy(daemon: Daemon, handler: string | null, {name, ...changes}: Partial<PodSandboxConfig> & {readonly name: string}): Promise<Pod> {
	const config = {...(await toPodConfig(daemon, name, false)), ...changes};
	const {pod_sandbox_id: id} = await daemon.cri.call('RunPodSandbox', {config, runtime_handler: handler ?? ''});
	return {id, config, logDirectory: config.log_directory};
}

export async function runPod(daemon: Daemon, name: string, changes: Partial<PodSandboxConfig> = {}): Promise<Pod> {
	return await runPodBy(daemon, null, {name, ...changes});
}

export function pullBusybox(cri: CriClient): Promise<{readonly image_ref: string}> {
	return cri.image('PullImage', {image: {image: BUSYBOX_IMAGE}});
}

export function toContainerConfig(name: string, command: readonly string[], changes: Partial<ContainerConfig> = {}): ContainerConfig {
	return {metadata: {name, attempt: 0}, image: {image: BUSYBOX_IMAGE}, command: [...command], log_path: `${name}.log`, ...changes};
}

export async function createContainer(cri: CriClient, pod: Pod, config: ContainerConfig): Promise<string> {
	const {container_id: id} = await cri.call('CreateContainer', {pod_sandbox_id: pod.id, config, sandbox_config: pod.config});
	return id;
}

export async function runContainer(cri: CriClient, pod: Pod, config: ContainerConfig): Promise<string> {
	const id = await createContainer(cri, pod, config);
	await cri.call('StartContainer', {container_id: id});
	return id;
}

export async function removePod(cri: CriClient, pod: Pod): Promise<void> {
	await cri.call('StopPodSandbox', {pod_sandbox_id: pod.id});
	await cri.call('RemovePodSandbox', {pod_sandbox_id: pod.id});
}

export async function statusOf(cri: CriClient, containerId: string): Promise<ContainerStatus__Output> {
	const {status} = await cri.call('ContainerStatus', {container_id: containerId});
	if (status === null) throw new Error(`container ${containerId} has no status`);
	return status;
}

/** The messages of a container's log, without time and stream. */
export async function readMessages(path: string): Promise<readonly string[]> {
	const lines = (await readFile(path, 'utf8')).split('\n').filter(line => line !== '');
	return lines.map(line => {
		const found = /^\S+ (?:stdout|stderr) [PF] (.*)$/s.exec(line);
		if (found === null) throw new Error(`not a line of a CRI log: ${line}`);
		return found[1] ?? '';
	});
}

/** Asks every 20 ms. @throws after `timeoutMs` with what it last heard. */
export async function until<T>(what: string, ask: () => Promise<T>, holds: (answer: T) => boolean, timeoutMs = 20_000): Promise<T> {
	const endMs = systemClock.monotonicMs() + patientMs(timeoutMs);
	for (;;) {
		const answer = await ask();
		if (holds(answer)) return answer;
		if (systemClock.monotonicMs() > endMs) throw new Error(`not within ${patientMs(timeoutMs)} ms: ${what}; last: ${JSON.stringify(answer)}`);
		await systemClock.sleep(20);
	}
}
