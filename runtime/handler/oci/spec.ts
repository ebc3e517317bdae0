import {InvalidArgumentError, UnimplementedError} from '../../../base/errors.js';
import type {CapabilitySets, LaunchSpec, MountSpec, ProcessSpec, SeccompProfile} from '../../../native/native.js';
import type {DeviceRules} from '../../cgroup/device-rules.js';
import {toCapabilityNames} from '../../spec/capabilities.js';
import type {LaunchFacts} from '../handler.js';

/** The lowest that has all that is written here: Debian 12's crun and runc take 1.0.x and refuse or warn of what is later. */
const OCI_VERSION = '1.0.2';

/** linux/mount.h */
const MOUNT_FLAGS = [
	[1, 'ro'],
	[2, 'nosuid'],
	[4, 'nodev'],
	[8, 'noexec'],
	[1 << 10, 'noatime'],
	[1 << 11, 'nodiratime'],
	[1 << 21, 'relatime'],
	[1 << 24, 'strictatime'],
] as const;
/** In the order of their numbers (asm-generic/resource.h). */
const RLIMITS = [
	'CPU',
	'FSIZE',
	'DATA',
	'STACK',
	'CORE',
	'RSS',
	'NPROC',
	'NOFILE',
	'MEMLOCK',
	'AS',
	'LOCKS',
	'SIGPENDING',
	'MSGQUEUE',
	'NICE',
	'RTPRIO',
	'RTTIME',
];
const SCMP_ARCH: Readonly<Record<string, string>> = {x64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64'};

/** What the spec cannot know by itself. */
export interface OciPlace {
	/** Directory of the bundle, with what OciText says of it. */
	readonly bundle: string;
	/** runtime-spec's User: uid, gid, additionalGids; or what stands for it. */
	readonly user: unknown;
	/** "HOME=…", added where the environment has none. */
	readonly home: string;
	/** What a bind's options end with: those of the mount that is bound. */
	readonly mountOptions: string;
	/** Besides mount, PID and cgroup. Those of the pod that are not named are the ones of whoever runs the runtime: the pod's own, under a monitor. */
	readonly namespaces: readonly {readonly type: string; readonly path: string}[];
}

/**
 * config.json of the OCI runtime spec for a container that is all decided. What the launcher does as well without a runtime is not in it: limits
 * (the cgroup is there, with all of them), oom_score_adj, options of binds (the mounts below the bundle have them), directories of volumes.
 *
 * @throws {InvalidArgumentError} values that JSON cannot hold. {UnimplementedError} a time namespace, which the lowest version does not have.
 * @see runtime-spec, config.md and config-linux.md.
 */
export function toOciSpec(spec: LaunchSpec, facts: LaunchFacts, place: OciPlace): object {
	if (spec.timeOffsets !== null)
		throw new UnimplementedError('annotations: offsets of a time namespace are not implemented for OCI runtimes', {field: 'annotations'});
	return {
		ociVersion: OCI_VERSION,
		process: toOciProcess(spec.process, place),
		root: {path: 'rootfs', readonly: spec.rootfs.readonly},
		mounts: spec.mounts.map((mount, index) => toMount(mount, `${place.bundle}/mounts/${index}`, place.mountOptions)),
		linux: {
			cgroupsPath: facts.cgroupPath,
			namespaces: [{type: 'mount'}, ...toNamespaces(spec, place.bundle), ...place.namespaces],
			rootfsPropagation: `r${spec.rootfs.propagation}`,
			devices: spec.devices.map(({path, type, major, minor, mode, uid, gid}) => ({path, type, major, minor, fileMode: mode, uid, gid})),
			resources: {devices: toDeviceRules(facts.deviceRules)},
			maskedPaths: spec.maskedPaths,
			readonlyPaths: spec.readonlyPaths,
			...(spec.mountLabel === null ? {} : {mountLabel: spec.mountLabel}),
			...(facts.seccomp === null ? {} : {seccomp: toSeccomp(facts.seccomp)}),
		},
	};
}

/** runtime-spec's Process; also what `exec --process` takes. @throws {InvalidArgumentError} */
export function toOciProcess(process: ProcessSpec, {user, home}: Pick<OciPlace, 'user' | 'home'>): object {
	const env = process.env.map(toText);
	return {
		terminal: process.tty,
		user,
		args: process.args,
		env: env.some(line => line.startsWith('HOME=')) ? env : [...env, home],
		cwd: process.cwd,
		capabilities: toCapabilities(process.capabilities),
		rlimits: process.rlimits.map(({resource, soft, hard}) => ({type: `RLIMIT_${RLIMITS[resource] ?? resource}`, soft: unsigned(soft), hard: unsigned(hard)})),
		noNewPrivileges: process.noNewPrivileges,
		...(process.apparmorProfile === null ? {} : {apparmorProfile: process.apparmorProfile}),
		...(process.selinuxLabel === null ? {} : {selinuxLabel: process.selinuxLabel}),
	};
}

/** JSON of what the two above make: 64-bit numbers are written out whole. */
export function toJson(value: object): string {
	// In Node since 22, in TypeScript's library not yet.
	const {rawJSON} = JSON as unknown as {rawJSON(text: string): unknown};
	return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? rawJSON(String(inner)) : inner));
}

function unsigned(value: bigint): bigint {
	return BigInt.asUintN(64, value);
}

function toText(line: Uint8Array): string {
	try {
		return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(line);
	} catch (cause) {
		const [name = ''] = Buffer.from(line).toString('latin1').split('=');
		throw new InvalidArgumentError(`envs: the value of ${name} is not UTF-8, which an OCI runtime's config cannot hold`, {field: 'envs'}, {cause});
	}
}

function toCapabilities(sets: CapabilitySets): object {
	return Object.fromEntries(Object.entries(sets).map(([name, mask]: [string, bigint]) => [name, toCapabilityNames(mask)]));
}

function toMount(mount: MountSpec, source: string, sourceOptions: string): object {
	const destination = mount.target;
	if (mount.kind === 'bind') return {destination, type: 'bind', source, options: ['rbind', `r${mount.propagation}`, sourceOptions]};
	if (mount.kind === 'shm' || mount.kind === 'image') return {destination, type: 'bind', source, options: ['rbind', 'rprivate', sourceOptions]};
	if (mount.kind === 'cgroup')
		return {destination, type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', ...(mount.readonly ? ['ro'] : [])]};
	const flags = MOUNT_FLAGS.filter(([flag]) => (mount.flags & flag) !== 0).map(([, name]) => name as string);
	return {destination, type: mount.fstype, source: mount.fstype, options: [...flags, ...(mount.data === '' ? [] : mount.data.split(','))]};
}

function toNamespaces({namespaces: {pid, cgroup}}: LaunchSpec, bundle: string): readonly object[] {
	const joined = {type: 'pid', path: `${bundle}/pidns`};
	return [...(pid === 'host' ? [] : pid === 'new' ? [{type: 'pid'}] : [joined]), ...(cgroup === 'new' ? [{type: 'cgroup'}] : [])];
}

function toDeviceRules(rules: DeviceRules): readonly object[] {
	if (rules === 'all') return [{allow: true, access: 'rwm'}];
	const allowed = rules.map(({type, major, minor, access}) => ({
		allow: true,
		type,
		...(major === null ? {} : {major}),
		...(minor === null ? {} : {minor}),
		access,
	}));
	return [{allow: false, access: 'rwm'}, ...allowed];
}

function toSeccomp({defaultAction, defaultErrno, architectures, syscalls}: SeccompProfile): object {
	const own = SCMP_ARCH[process.arch];
	return {
		defaultAction,
		...(defaultErrno === null ? {} : {defaultErrnoRet: defaultErrno}),
		architectures: [...new Set([...(own === undefined ? [] : [own]), ...architectures])],
		syscalls: syscalls.map(({names, action, errno, args}) => ({
			names,
			action,
			...(errno === null ? {} : {errnoRet: errno}),
			args: args.map(({index, value, valueTwo, op}) => ({index, value: unsigned(value), valueTwo: unsigned(valueTwo), op})),
		})),
	};
}
