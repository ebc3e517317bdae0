import {UnimplementedError} from '../../../base/errors.js';
import type {LaunchSpec, MountSpec, ResolvedUser} from '../../../native/native.js';
import type {ResourceFacts, SandboxRecord} from '../../sandbox/record.js';
import type {LaunchFacts} from '../handler.js';
import {toOciSpec} from '../oci/spec.js';

/** What of the pod its containers' specs name. */
export interface PodPlace {
	readonly record: SandboxRecord;
	/** Lives in the pod's network, IPC and UTS namespaces. */
	readonly monitorPid: number;
	/** Lives in the pod's PID namespace, where it has one; 0: the pod has none. */
	readonly pausePid: number;
	/** Of the pod's /dev/shm on the host. */
	readonly shmDir: string;
	/** Of the cgroup of the pod's first process, in the pod's. */
	readonly cgroupName: string;
}

interface OciConfig {
	readonly process: object;
	readonly mounts: readonly object[];
	readonly linux: {readonly resources: object};
}

/**
 * config.json of a container for a shim, whose runtime mounts everything itself, by paths of the host.
 *
 * @throws {InvalidArgumentError} values that JSON cannot hold.
 */
export function toShimSpec(
	spec: LaunchSpec,
	facts: LaunchFacts,
	{pod, user, home}: {readonly pod: PodPlace; readonly user: ResolvedUser; readonly home: string},
): object {
	const ociUser = {uid: user.uid, gid: user.gid, additionalGids: user.supplementalGids};
	const place = {bundle: '', user: ociUser, home, mountOptions: '', namespaces: []};
	const plain = spec.mounts.filter(({kind}) => kind === 'filesystem' || kind === 'cgroup');
	const oci = toOciSpec({...spec, mounts: plain}, facts, place) as OciConfig;
	const plainMounts = oci.mounts.values();
	return {
		...oci,
		process: {...oci.process, ...(spec.process.oomScoreAdj === null ? {} : {oomScoreAdj: spec.process.oomScoreAdj})},
		mounts: spec.mounts.map(mount => toShimMount(mount, pod.shmDir) ?? plainMounts.next().value),
		annotations: toAnnotations(pod.record, 'container'),
		linux: {
			...oci.linux,
			namespaces: toNamespaces(spec, pod),
			resources: {...oci.linux.resources, ...toResources(facts.resources)},
		},
	};
}

/** config.json of the pod's first process, which only waits. */
export function toPauseSpec({record, monitorPid, cgroupName}: PodPlace): object {
	return {
		ociVersion: '1.0.2',
		process: {user: {uid: 0, gid: 0}, args: ['/pause'], env: ['PATH=/'], cwd: '/', capabilities: {}, noNewPrivileges: true},
		root: {path: 'rootfs', readonly: true},
		hostname: record.hostname,
		mounts: [
			{destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev']},
			{destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'noexec', 'mode=755', 'size=64k']},
		],
		annotations: toAnnotations(record, 'sandbox'),
		linux: {
			cgroupsPath: `${record.cgroupParent}/${cgroupName}`,
			namespaces: [{type: 'mount'}, ...(record.namespaces.pid === 'node' ? [] : [{type: 'pid'}]), ...podNamespaces(record, monitorPid)],
			resources: {devices: [{allow: false, access: 'rwm'}], ...toResources(record.config.resources)},
			maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/sysrq-trigger', '/proc/timer_list'],
		},
	};
}

function toNamespaces({namespaces: {pid, cgroup}}: LaunchSpec, {record, monitorPid, pausePid}: PodPlace): readonly object[] {
	const joined = typeof pid === 'object' ? pid.pid : pausePid;
	const pidNamespace = pid === 'host' ? [] : pid === 'new' ? [{type: 'pid'}] : [{type: 'pid', path: `/proc/${joined}/ns/pid`}];
	return [{type: 'mount'}, ...pidNamespace, ...(cgroup === 'new' ? [{type: 'cgroup'}] : []), ...podNamespaces(record, monitorPid)];
}

/** By the pin where there is one: a runtime with a virtual machine looks for the pod's interfaces there. */
function podNamespaces(record: SandboxRecord, monitorPid: number): readonly object[] {
	const own = (name: string): string => `/proc/${monitorPid}/ns/${name}`;
	return [
		{type: 'network', path: record.attachment?.netnsPath ?? own('net')},
		{type: 'ipc', path: own('ipc')},
		{type: 'uts', path: own('uts')},
	];
}

/** Options as mount(8) and the OCI runtime spec name them; null: as for any OCI runtime. */
function toShimMount(mount: MountSpec, shmDir: string): object | null {
	if (mount.kind === 'shm') return {destination: mount.target, type: 'bind', source: shmDir, options: ['rbind', 'rprivate', 'nosuid', 'nodev', 'noexec']};
	if (mount.kind === 'image') return toImageMount(mount);
	if (mount.kind !== 'bind') return null;
	const flags = {ro: mount.readonly && !mount.recursiveReadOnly, rro: mount.recursiveReadOnly, noexec: mount.noexec, nosuid: mount.nosuid, nodev: mount.nodev};
	const set = Object.entries(flags).flatMap(([name, wanted]) => (wanted ? [name] : []));
	return {destination: mount.target, type: 'bind', source: mount.source, options: [mount.recursive ? 'rbind' : 'bind', `r${mount.propagation}`, ...set]};
}

function toImageMount({lowerDirs, subPath, target, ...flags}: MountSpec & {readonly kind: 'image'}): object {
	const field = 'mounts.image_sub_path';
	if (subPath !== '') throw new UnimplementedError(`${field}: a runtime handler of type shim-v2 has no part of an image as a mount`, {field});
	const set = (['noexec', 'nosuid', 'nodev'] as const).filter(name => flags[name]);
	const [only] = lowerDirs;
	if (lowerDirs.length === 1) return {destination: target, type: 'bind', source: only, options: ['bind', 'ro', ...set]};
	return {destination: target, type: 'overlay', source: 'overlay', options: [`lowerdir=${lowerDirs.join(':')}`, 'ro', ...set]};
}

/** Keys as containerd's CRI plugin writes them: shims and the runtimes behind them go by them. */
function toAnnotations(record: SandboxRecord, type: 'sandbox' | 'container'): Readonly<Record<string, string>> {
	const ofKata = Object.entries(record.annotations).filter(([key]) => key.startsWith('io.katacontainers.'));
	return {
		...Object.fromEntries(ofKata),
		'io.kubernetes.cri.container-type': type,
		'io.kubernetes.cri.sandbox-id': record.id,
		'io.kubernetes.cri.sandbox-name': record.metadata.name,
		'io.kubernetes.cri.sandbox-namespace': record.metadata.namespace,
		'io.kubernetes.cri.sandbox-uid': record.metadata.uid,
	};
}

/** A virtual machine is sized by them; a cgroup has them already. Nothing that is not specified. */
export function toResources(resources: ResourceFacts | null): object {
	if (resources === null) return {};
	const {cpuShares, cpuQuotaUs, cpuPeriodUs, cpusetCpus, cpusetMems, memoryLimitBytes, memorySwapLimitBytes} = resources;
	const cpu = some({shares: cpuShares, quota: cpuQuotaUs, period: cpuPeriodUs, cpus: cpusetCpus, mems: cpusetMems});
	const memory = some({limit: memoryLimitBytes, swap: memorySwapLimitBytes});
	return {...(cpu === null ? {} : {cpu}), ...(memory === null ? {} : {memory})};
}

function some(values: Readonly<Record<string, bigint | string>>): object | null {
	const given = Object.entries(values).filter(([, value]) => value !== 0n && value !== '');
	return given.length === 0 ? null : Object.fromEntries(given);
}
