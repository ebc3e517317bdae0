import {join, normalize} from 'node:path';
import {InvalidArgumentError, UnimplementedError} from '../../base/errors.js';
import type {Snapshot} from '../../image/image.js';
import type {IdRange, MountSpec, UserNamespaceSpec} from '../../native/native.js';
import {MountPropagation, type ContainerConfig__Output, type Mount__Output} from '../../proto/cri.js';
import {mountSpecs, type CgroupHierarchies} from '../cgroup/hierarchies.js';
import type {SandboxRecord} from '../sandbox/record.js';
import {assertImageMount, isImageMount, toImageMountSpec} from './image-mounts.js';
import {assertIdMapping, isMappedAsPod, toIdMaps} from './user-namespace.js';

/** linux/mount.h */
const MS = {rdonly: 1, nosuid: 2, nodev: 4, noexec: 8, strictatime: 1 << 24} as const;

const PROPAGATIONS = {
	[MountPropagation.PROPAGATION_PRIVATE]: 'private',
	[MountPropagation.PROPAGATION_HOST_TO_CONTAINER]: 'slave',
	[MountPropagation.PROPAGATION_BIDIRECTIONAL]: 'shared',
} as const;
const TTY_GID = 5;
/** What the init is handed fits one packet (MAX_FDS of native/protocol.h), with room for the pod's own files and those of CDI devices. */
export const MAX_MOUNTS = 240;
/** linux/limits.h, the NUL counted. */
const PATH_MAX = 4096;
const OPTIONS = new Set(['noexec', 'nodev', 'nosuid']);

/** Two devices may bring the same library. */
function lastOfEach(mounts: readonly MountSpec[]): readonly MountSpec[] {
	return [...new Map(mounts.map(mount => [mount.target, mount])).values()];
}

export interface MountsInput {
	/** Validated. */
	readonly config: ContainerConfig__Output;
	readonly sandbox: SandboxRecord;
	readonly hierarchies: CgroupHierarchies;
	/** Of the images among the config's mounts, by their place there. */
	readonly volumes: ReadonlyMap<number, Snapshot>;
	/** Of CDI devices; they take the place of what the config mounts there. */
	readonly cdi: readonly MountSpec[];
}

/** Everything that is mounted into a container: the standard filesystems, the pod's files, what the config asks for; parents before children. */
export function toMounts({config, sandbox, hierarchies, volumes, cdi}: MountsInput): MountSpec[] {
	const replaced = new Set(cdi.map(({target}) => target));
	const taken = new Set([...config.mounts.map(({container_path}) => toTarget(container_path)), ...replaced]);
	const isFree = ({target}: MountSpec): boolean => !taken.has(target) && !(taken.has('/dev') && target.startsWith('/dev/'));
	const requested = config.mounts.map((mount, index) => {
		const snapshot = volumes.get(index);
		return snapshot === undefined ? toBind(mount, sandbox) : toImageMountSpec(mount, toTarget(mount.container_path), snapshot);
	});
	// Stable, by depth: a mount on /a must not hide one on /a/b that came first.
	const kept = [...requested.filter(({target}) => !replaced.has(target)), ...lastOfEach(cdi)];
	const binds = [...toPodFiles(config, sandbox).filter(isFree), ...kept].toSorted((a, b) => depth(a.target) - depth(b.target));
	return [...toStandardMounts(config, sandbox, hierarchies).filter(isFree), ...binds];
}

/** runtime-spec config-linux.md, "Default Filesystems", with the options that OCI runtimes use. Privileged: /sys and cgroups are writable. */
function toStandardMounts(config: ContainerConfig__Output, sandbox: SandboxRecord, hierarchies: CgroupHierarchies): MountSpec[] {
	const privileged = config.linux?.security_context?.privileged ?? false;
	const readonly = privileged ? 0 : MS.rdonly;
	const filesystem = (fstype: string, target: string, flags: number, data = ''): MountSpec => ({kind: 'filesystem', fstype, target, flags, data});
	const hidden = MS.nosuid | MS.noexec | MS.nodev;
	return [
		filesystem('proc', '/proc', hidden),
		filesystem('tmpfs', '/dev', MS.nosuid | MS.strictatime, 'mode=755,size=65536k'),
		filesystem('devpts', '/dev/pts', MS.nosuid | MS.noexec, `newinstance,ptmxmode=0666,mode=0620${toTerminalGroup(sandbox.userNamespace?.gids ?? null)}`),
		filesystem('mqueue', '/dev/mqueue', hidden),
		sandbox.namespaces.ipc === 'node' ? bind('/dev/shm', '/dev/shm', {}) : {kind: 'shm', target: '/dev/shm'},
		filesystem('sysfs', '/sys', hidden | readonly),
		{kind: 'cgroup', target: '/sys/fs/cgroup', readonly: !privileged, hierarchies: mountSpecs(hierarchies)},
	];
}

/** The group tty, which is 5 everywhere, as the node's id: mount options are read by the node. */
function toTerminalGroup(gids: IdRange | null): string {
	if (gids === null) return `,gid=${TTY_GID}`;
	return gids.count > TTY_GID ? `,gid=${gids.first + TTY_GID}` : '';
}

/** The pod's hosts, hostname and resolv.conf; read-only where the root is. */
function toPodFiles(config: ContainerConfig__Output, sandbox: SandboxRecord): MountSpec[] {
	const readonly = config.linux?.security_context?.readonly_rootfs ?? false;
	return ['hosts', 'hostname', 'resolv.conf'].map(name => bind(join(sandbox.files.dir, name), `/etc/${name}`, {readonly}));
}

type Bind = Extract<MountSpec, {kind: 'bind'}>;

function bind(source: string, target: string, changes: Partial<Bind>): Bind {
	return {
		kind: 'bind',
		source,
		target,
		recursive: true,
		readonly: false,
		recursiveReadOnly: false,
		noexec: false,
		nosuid: false,
		nodev: false,
		propagation: 'private',
		idMapped: false,
		idMaps: null,
		...changes,
	};
}

function toBind(mount: Mount__Output, {userNamespace}: SandboxRecord): MountSpec {
	const idMaps = toIdMaps(mount);
	const idMapped = idMaps !== null && isMappedAsPod(idMaps, userNamespace);
	return bind(mount.host_path, toTarget(mount.container_path), {
		readonly: mount.readonly,
		recursiveReadOnly: mount.recursive_read_only,
		noexec: mount.mount_options.includes('noexec'),
		nosuid: mount.mount_options.includes('nosuid'),
		nodev: mount.mount_options.includes('nodev'),
		propagation: PROPAGATIONS[mount.propagation],
		idMapped,
		idMaps: idMapped ? null : idMaps,
	});
}

/** Propagation of the container's root: as far as the mounts below need it. */
export function toRootPropagation(config: ContainerConfig__Output): 'private' | 'slave' | 'shared' {
	const asked = new Set(config.mounts.map(({propagation}) => PROPAGATIONS[propagation]));
	return asked.has('shared') ? 'shared' : asked.has('slave') ? 'slave' : 'private';
}

/** The config brings its own /dev: nothing is made there. */
export function hasOwnDev(config: ContainerConfig__Output): boolean {
	return config.mounts.some(({container_path}) => toTarget(container_path) === '/dev');
}

/**
 * @throws {InvalidArgumentError} naming the mount and the rule.
 * @throws {UnimplementedError} mount options that are not known.
 * @see api.proto, Mount.
 */
export function assertMounts(mounts: readonly Mount__Output[], privileged: boolean, userNamespace: UserNamespaceSpec | null): void {
	if (mounts.length > MAX_MOUNTS) throw new InvalidArgumentError(`mounts: ${mounts.length} are more than ${MAX_MOUNTS}`, {field: 'mounts'});
	for (const [index, mount] of mounts.entries()) {
		const field = `mounts[${index}]`;
		const refuse = (rule: string): never => {
			throw new InvalidArgumentError(`${field} (${mount.container_path}): ${rule}`, {field});
		};
		if (Buffer.byteLength(mount.container_path) >= PATH_MAX)
			throw new InvalidArgumentError(`${field}: container_path is longer than ${PATH_MAX - 1} bytes`, {field});
		assertOptions(field, mount);
		assertIdMapping(field, mount);
		if (!isAbsolute(mount.container_path) || toTarget(mount.container_path) === '/') refuse('container_path is not an absolute path below /');
		if (isImageMount(mount)) assertImageMount(field, mount);
		else if (!isAbsolute(mount.host_path)) refuse(`host_path "${mount.host_path}" is not an absolute path`);
		if (PROPAGATIONS[mount.propagation] === undefined) refuse(`propagation ${String(mount.propagation)} is unknown`);
		if (mount.recursive_read_only && !mount.readonly) refuse('recursive_read_only needs readonly');
		if (mount.recursive_read_only && mount.propagation !== MountPropagation.PROPAGATION_PRIVATE) refuse('recursive_read_only needs private propagation');
		if (mount.propagation === MountPropagation.PROPAGATION_BIDIRECTIONAL && !privileged) refuse('bidirectional propagation needs a privileged container');
		// mount_namespaces(7): mounts of a less privileged mount namespace do not propagate out of it.
		if (mount.propagation === MountPropagation.PROPAGATION_BIDIRECTIONAL && userNamespace !== null)
			refuse('bidirectional propagation does not lead out of a user namespace');
	}
}

function assertOptions(field: string, {mount_options}: Mount__Output): void {
	const unknown = mount_options.find(option => !OPTIONS.has(option));
	if (unknown !== undefined)
		throw new UnimplementedError(`${field}.mount_options: "${unknown}" is not implemented, only noexec, nodev, nosuid`, {field: `${field}.mount_options`});
}

function isAbsolute(path: string): boolean {
	return path.startsWith('/') && !path.includes('\0') && !path.split('/').includes('..');
}

function toTarget(containerPath: string): string {
	const path = normalize(containerPath);
	return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

function depth(path: string): number {
	return path.split('/').length;
}
