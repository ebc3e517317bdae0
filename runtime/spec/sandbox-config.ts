import {isIP} from 'node:net';
import {join} from 'node:path';
import {InvalidArgumentError} from '../../base/errors.js';
import type {CgroupPlan, MonitorRequest} from '../../native/native.js';
import {
	NamespaceMode,
	Protocol,
	type LinuxSandboxSecurityContext__Output,
	type NamespaceOption__Output,
	type PodSandboxConfig__Output,
} from '../../proto/cri.js';
import type {CgroupHierarchies} from '../cgroup/hierarchies.js';
import {toPodCgroupDirs, toPodCgroupName, type CgroupNaming} from '../cgroup/names.js';
import {toSandboxCgroupPlan} from '../cgroup/plan.js';
import {assertResources, toResourceFacts} from '../cgroup/resources.js';
import {isPodScope} from '../cgroup/systemd/slices.js';
import type {SandboxConfigFacts, SandboxRecord} from '../sandbox/record.js';
import {assertAnnotations, toShmSizeBytes, toTimeOffsets} from './annotations.js';
import {assertPidOptions} from './pid-options.js';
import {assertProfile, toProfileChoice} from './security-profile.js';
import {assertSelinux, toSelinuxLabels} from './selinux.js';
import {toSysctls} from './sysctls.js';
import {assertUserNamespace} from './user-namespace.js';

/** __NEW_UTS_LEN of the kernel. */
const MAX_HOSTNAME_LENGTH = 64;

/**
 * @throws {InvalidArgumentError | UnimplementedError} naming the first field that cannot be done, before anything is made.
 * @see api.proto, PodSandboxConfig.
 */
export function validateSandboxConfig(config: PodSandboxConfig__Output): void {
	assertMetadata(config);
	assertHostname(config.hostname);
	assertAbsolute('log_directory', config.log_directory);
	assertDns(config);
	assertAnnotations(config.annotations);
	toShmSizeBytes(config.annotations, 0);
	toTimeOffsets(config.annotations, {});
	config.port_mappings.forEach(assertPortMapping);
	if (config.windows !== null) throw new InvalidArgumentError('windows is set on a Linux node', {field: 'windows'});
	const {linux} = config;
	if (linux === null) return;
	const security = linux.security_context;
	const options = security?.namespace_options ?? null;
	assertNamespaces(options);
	toSysctls(linux.sysctls, {network: options?.network !== NamespaceMode.NODE, ipc: options?.ipc !== NamespaceMode.NODE});
	assertResources(toResourceFacts(linux.overhead));
	assertResources(toResourceFacts(linux.resources));
	if (security !== null) assertSecurity(security);
}

function assertMetadata({metadata}: PodSandboxConfig__Output): void {
	for (const field of ['name', 'namespace', 'uid'] as const) {
		const value = metadata?.[field] ?? '';
		if (value === '' || value.includes('\0'))
			throw new InvalidArgumentError(`metadata.${field} is ${value === '' ? 'empty' : 'malformed'}`, {field: `metadata.${field}`});
	}
}

function assertHostname(hostname: string): void {
	// sethostname(2) takes any bytes; a name that could not stand in a hosts file is a mistake.
	if (hostname.length > MAX_HOSTNAME_LENGTH)
		throw new InvalidArgumentError(`hostname "${hostname}" is longer than ${MAX_HOSTNAME_LENGTH}`, {field: 'hostname'});
	if (!/^[\w.-]*$/.test(hostname))
		throw new InvalidArgumentError(`hostname "${hostname}" has signs other than letters, digits, "-", "." and "_"`, {field: 'hostname'});
}

function assertAbsolute(field: string, path: string): void {
	if (path !== '' && (!path.startsWith('/') || path.includes('\0') || path.split('/').includes('..')))
		throw new InvalidArgumentError(`${field} "${path}" is not an absolute path without ".."`, {field});
}

/** A line feed would start another line of resolv.conf. */
function assertDns({dns_config}: PodSandboxConfig__Output): void {
	for (const server of dns_config?.servers ?? []) {
		if (isIP(server.split('%')[0] ?? '') === 0)
			throw new InvalidArgumentError(`dns_config.servers: "${server}" is not an IP address`, {field: 'dns_config.servers'});
	}
	for (const field of ['servers', 'searches', 'options'] as const) {
		const bad = dns_config?.[field].find(value => value === '' || /[\s\0]/.test(value));
		if (bad !== undefined) throw new InvalidArgumentError(`dns_config.${field}: "${bad}" is empty or holds a blank`, {field: `dns_config.${field}`});
	}
}

function assertPortMapping(mapping: PodSandboxConfig__Output['port_mappings'][number], index: number): void {
	const field = `port_mappings[${index}]`;
	const {container_port, host_port, host_ip, protocol} = mapping;
	if (!Object.values(Protocol).includes(protocol)) throw new InvalidArgumentError(`${field}.protocol ${String(protocol)} is unknown`, {field});
	// Without a host port nothing is mapped: the kubelet lists plain container ports too.
	if (host_port < 0 || host_port > 65_535) throw new InvalidArgumentError(`${field}.host_port ${host_port} is not in 0..65535`, {field});
	if (container_port < (host_port > 0 ? 1 : 0) || container_port > 65_535)
		throw new InvalidArgumentError(`${field}.container_port ${container_port} is not in 1..65535`, {field});
	if (host_ip !== '' && isIP(host_ip) === 0) throw new InvalidArgumentError(`${field}.host_ip "${host_ip}" is not an IP address`, {field});
}

function assertNamespaces(options: NamespaceOption__Output | null): void {
	if (options === null) return;
	for (const field of ['network', 'ipc'] as const) {
		if (options[field] !== NamespaceMode.POD && options[field] !== NamespaceMode.NODE)
			throw new InvalidArgumentError(`namespace_options.${field}: only POD and NODE are known`, {field: `namespace_options.${field}`});
	}
	if (options.pid === NamespaceMode.TARGET)
		throw new InvalidArgumentError('namespace_options.pid: TARGET is for containers only', {field: 'namespace_options.pid'});
	assertPidOptions(options);
	assertUserNamespace(options);
}

function assertSecurity(security: LinuxSandboxSecurityContext__Output): void {
	if (security.run_as_group !== null && security.run_as_user === null)
		throw new InvalidArgumentError('security_context.run_as_group is set without run_as_user', {field: 'security_context.run_as_group'});
	// No process of the pod itself runs a profile, but a profile that cannot be is an error of the pod all the same.
	toProfileChoice('security_context.seccomp', security.seccomp, security.seccomp_profile_path, {kind: 'unconfined'});
	assertProfile('security_context.apparmor', security.apparmor);
	assertSelinux(security.selinux_options);
}

/** Of the node, as far as a monitor depends on it. */
export interface MonitorPlace {
	readonly hierarchies: CgroupHierarchies;
	/** Of the /dev/shm of a pod without an annotation. */
	readonly shmSizeBytes: number;
	/** The kernel has it: /dev/shm is labelled. */
	readonly selinux: boolean;
	readonly naming: CgroupNaming;
}

/** What the monitor of the pod is made with. */
export function toMonitorRequest(record: SandboxRecord, {hierarchies, shmSizeBytes, selinux, naming}: MonitorPlace): MonitorRequest {
	const own = {network: record.namespaces.network !== 'node', ipc: record.namespaces.ipc !== 'node'};
	return {
		sandboxId: record.id,
		// The UTS namespace goes with the network: a pod on the host's network has the host's name.
		namespaces: {...own, uts: own.network, pid: record.namespaces.pid === 'pod'},
		hostname: own.network ? record.hostname : null,
		sysctls: toSysctls(record.config.sysctls, own),
		shmSizeBytes: own.ipc ? toShmSizeBytes(record.annotations, shmSizeBytes) : null,
		// The kubelet sets the pod's limits itself, on the cgroup that it names as parent.
		cgroup: withPodCgroup(toSandboxCgroupPlan(hierarchies, record.cgroupParent, null), record, {hierarchies, naming}),
		userNamespace: record.userNamespace,
		mountLabel: selinux ? (record.config.mountLabel ?? null) : null,
	};
}

/** In a scope of systemd's it is the monitor's own, which is made when that is moved there. */
function withPodCgroup(plan: CgroupPlan, record: SandboxRecord, {hierarchies, naming}: Pick<MonitorPlace, 'hierarchies' | 'naming'>): CgroupPlan {
	const name = toPodCgroupName(naming, record);
	if (name === null || isPodScope(record.cgroupParent)) return plan;
	return {...plan, dirs: [...plan.dirs, ...toPodCgroupDirs(hierarchies, join(record.cgroupParent, name))]};
}

/** What of the config is kept in the record. */
export function toSandboxFacts(config: PodSandboxConfig__Output): SandboxConfigFacts {
	const {dns_config: dns, linux} = config;
	return {
		dns: dns === null ? null : {servers: dns.servers, searches: dns.searches, options: dns.options},
		sysctls: linux?.sysctls ?? {},
		overhead: linux?.overhead ? toResourceFacts(linux.overhead) : null,
		resources: linux?.resources ? toResourceFacts(linux.resources) : null,
		mountLabel: toSelinuxLabels(linux?.security_context?.selinux_options ?? null)?.files ?? null,
	};
}
