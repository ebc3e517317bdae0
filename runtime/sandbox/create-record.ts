import {randomBytes} from 'node:crypto';
import {hostname as hostHostname} from 'node:os';
import type {Attachment} from '../../cni/cni.js';
import {NamespaceMode as WireMode, Protocol, type PodSandboxConfig__Output, type PortMapping__Output} from '../../proto/cri.js';
import {toSandboxFacts} from '../spec/sandbox-config.js';
import {toUserNamespace} from '../spec/user-namespace.js';
import type {Runtime} from '../runtime.js';
import type {NamespaceMode, SandboxRecord} from './record.js';
import {netnsPath, sandboxDir} from './undo.js';

const MODES: Readonly<Record<number, NamespaceMode>> = {
	[WireMode.POD]: 'pod',
	[WireMode.CONTAINER]: 'container',
	[WireMode.NODE]: 'node',
	[WireMode.TARGET]: 'target',
};
const PROTOCOLS: Readonly<Record<number, 'tcp' | 'udp' | 'sctp'>> = {[Protocol.TCP]: 'tcp', [Protocol.UDP]: 'udp', [Protocol.SCTP]: 'sctp'};

/** The record of a pod sandbox that is about to be made. The config has been validated. */
export function toSandboxRecord(
	runtime: Pick<Runtime, 'options' | 'clock' | 'cgroupDriver'>,
	config: PodSandboxConfig__Output,
	runtimeHandler: string,
): SandboxRecord {
	const id = randomBytes(32).toString('hex');
	const security = config.linux?.security_context ?? null;
	const options = security?.namespace_options ?? null;
	const network = MODES[options?.network ?? 0] ?? 'pod';
	const metadata = {
		name: config.metadata?.name ?? '',
		uid: config.metadata?.uid ?? '',
		namespace: config.metadata?.namespace ?? '',
		attempt: config.metadata?.attempt ?? 0,
	};
	const record: SandboxRecord = {
		kind: 'sandbox',
		id,
		metadata,
		labels: config.labels,
		annotations: config.annotations,
		runtimeHandler,
		createdAtNs: runtime.clock.nowNs(),
		state: {phase: 'creating'},
		hostname: network === 'node' ? hostHostname() : config.hostname || metadata.name.slice(0, 63),
		logDirectory: config.log_directory,
		cgroupParent: runtime.cgroupDriver.toPodPath(id, config.linux?.cgroup_parent ?? ''),
		namespaces: {network, pid: MODES[options?.pid ?? 0] ?? 'pod', ipc: MODES[options?.ipc ?? 0] ?? 'pod', targetId: options?.target_id ?? ''},
		userNamespace: toUserNamespace(options),
		privileged: security?.privileged ?? false,
		attachment: null,
		ips: [],
		files: {dir: sandboxDir(runtime, id)},
		config: toSandboxFacts(config),
		bootId: runtime.options.bootId,
	};
	return network === 'node' ? record : {...record, attachment: toAttachment(runtime, record, config)};
}

function toAttachment(runtime: Pick<Runtime, 'options'>, record: SandboxRecord, config: PodSandboxConfig__Output): Attachment {
	return {
		sandboxId: record.id,
		netnsPath: netnsPath(runtime, record.id),
		podName: record.metadata.name,
		podNamespace: record.metadata.namespace,
		podUid: record.metadata.uid,
		portMappings: config.port_mappings.filter(mapping => mapping.host_port > 0).map(toPortMapping),
		bandwidth: toBandwidth(config.annotations),
		cgroupPath: record.cgroupParent,
		dns: record.config.dns ?? {servers: [], searches: [], options: []},
	};
}

function toPortMapping(mapping: PortMapping__Output): Attachment['portMappings'][number] {
	return {protocol: PROTOCOLS[mapping.protocol] ?? 'tcp', containerPort: mapping.container_port, hostPort: mapping.host_port, hostIp: mapping.host_ip};
}

function toBandwidth(annotations: Readonly<Record<string, string>>): Attachment['bandwidth'] {
	const ingressRate = toBitsPerSecond(annotations['kubernetes.io/ingress-bandwidth']);
	const egressRate = toBitsPerSecond(annotations['kubernetes.io/egress-bandwidth']);
	return ingressRate === null && egressRate === null ? null : {ingressRate, egressRate};
}

const SUFFIXES: Readonly<Record<string, number>> = {'': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40};

/** A Kubernetes quantity ("10M", "512Ki") in bits per second; null when absent or not one. */
export function toBitsPerSecond(quantity: string | undefined): number | null {
	const [, digits, suffix] = /^(\d+(?:\.\d+)?)([kMGT]i?|)$/.exec(quantity ?? '') ?? [];
	const factor = SUFFIXES[suffix ?? 'none'];
	return digits === undefined || factor === undefined ? null : Math.round(Number(digits) * factor);
}
