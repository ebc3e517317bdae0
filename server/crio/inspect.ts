import {join} from 'node:path';
import type {ContainerRecord} from '../../runtime/container/record.js';
import type {Runtime} from '../../runtime/runtime.js';
import type {SandboxRecord} from '../../runtime/sandbox/record.js';
import {toImageName} from '../convert/metrics.js';

/** What of the runtime is asked. */
export type InspectParts = Pick<Runtime, 'options' | 'cgroupDriver' | 'state' | 'monitors' | 'images'>;

/** Body of GET /info (cri-o, pkg/types/types.go, CrioInfo). */
export interface CrioInfo {
	readonly storage_driver: string;
	/** Its filesystem is the kubelet's "imagefs". */
	readonly storage_root: string;
	/** '': images are below storage_root. */
	readonly storage_image: string;
	readonly cgroup_driver: 'cgroupfs' | 'systemd';
	readonly default_id_mappings: {readonly uids: readonly IdMapping[]; readonly gids: readonly IdMapping[]};
}
interface IdMapping {
	readonly container_id: number;
	readonly host_id: number;
	readonly size: number;
}

/** Body of GET /containers/<id> (the same, ContainerInfo). */
export interface ContainerInfo {
	readonly name: string;
	/** Its network namespace is the pod's; 0: not yet, or not any more. */
	readonly pid: number;
	readonly image: string;
	readonly image_ref: string;
	/** Nanoseconds since the epoch, as near as a number of JSON here comes (256 ns). */
	readonly created_time: number;
	readonly labels: Readonly<Record<string, string>>;
	readonly annotations: Readonly<Record<string, string>>;
	readonly crio_annotations: Readonly<Record<string, string>>;
	readonly log_path: string;
	/** Below it "diff" has the files of the writable layer. */
	readonly root: string;
	readonly sandbox: string;
	readonly ip_addresses: readonly string[];
	readonly host_network: boolean;
}

/** The node's own ids, all of them. */
const ALL_IDS = [{container_id: 0, host_id: 0, size: 2 ** 32 - 1}];

export function toCrioInfo({options, cgroupDriver}: InspectParts): CrioInfo {
	return {
		storage_driver: 'overlay',
		storage_root: options.rootDir,
		storage_image: '',
		cgroup_driver: cgroupDriver.name,
		default_id_mappings: {uids: ALL_IDS, gids: ALL_IDS},
	};
}

/** The root of what stands for a pod: its "diff" is an empty directory, for all pods the same one. */
export function toPodRoot({rootDir}: Pick<Runtime['options'], 'rootDir'>): string {
	return join(rootDir, 'cri-o', 'pod');
}

/**
 * A container, or what stands for a pod, by its whole id. One that is still being made is shown too: cAdvisor asks as soon as it sees the cgroup, and one that it
 * is told nothing of then is not counted for the next minute.
 */
export function findContainerInfo(parts: InspectParts, id: string): ContainerInfo | null {
	const container = parts.state.container(id);
	if (container !== null) {
		const sandbox = parts.state.sandbox(container.sandboxId);
		return sandbox === null ? null : toContainer(parts, container, sandbox);
	}
	const sandbox = parts.state.sandbox(id);
	return sandbox === null ? null : toPod(parts, sandbox);
}

function toContainer({images}: InspectParts, record: ContainerRecord, sandbox: SandboxRecord): ContainerInfo {
	return {
		...ofPod(sandbox),
		name: toName(sandbox, record.metadata),
		pid: record.pid,
		image: toImageName(record),
		image_ref: record.image.id,
		created_time: Number(record.createdAtNs),
		labels: {...toLabels(sandbox, record.metadata.name), ...record.labels},
		annotations: record.annotations,
		log_path: record.logPath,
		root: images.snapshotDir(record.id),
	};
}

/** cAdvisor counts the network of those alone that have this name. */
const POD = 'POD';

function toPod({monitors, options}: InspectParts, sandbox: SandboxRecord): ContainerInfo {
	return {
		...ofPod(sandbox),
		name: toName(sandbox, {name: POD, attempt: sandbox.metadata.attempt}),
		// On the host's network the counters would be the node's.
		pid: sandbox.attachment === null ? 0 : (monitors.find(sandbox.id)?.pid ?? 0),
		image: '',
		image_ref: '',
		created_time: Number(sandbox.createdAtNs),
		labels: {...toLabels(sandbox, POD), ...sandbox.labels, [CONTAINER_NAME]: POD},
		annotations: sandbox.annotations,
		log_path: '',
		root: toPodRoot(options),
	};
}

function ofPod({id, ips, attachment}: SandboxRecord): Pick<ContainerInfo, 'sandbox' | 'ip_addresses' | 'host_network' | 'crio_annotations'> {
	return {sandbox: id, ip_addresses: ips, host_network: attachment === null, crio_annotations: {}};
}

/** As CRI-O names them, after dockershim. */
function toName({metadata}: SandboxRecord, {name, attempt}: {readonly name: string; readonly attempt: number}): string {
	return `k8s_${name}_${metadata.name}_${metadata.namespace}_${metadata.uid}_${attempt}`;
}

const CONTAINER_NAME = 'io.kubernetes.container.name';

/** The kubelet gives them itself; for clients that do not. */
function toLabels({metadata}: SandboxRecord, containerName: string): Readonly<Record<string, string>> {
	return {
		'io.kubernetes.pod.name': metadata.name,
		'io.kubernetes.pod.namespace': metadata.namespace,
		'io.kubernetes.pod.uid': metadata.uid,
		[CONTAINER_NAME]: containerName,
	};
}
