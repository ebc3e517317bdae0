import {lstat, readdir, realpath} from 'node:fs/promises';
import {join} from 'node:path';
import type {CdiDeviceNode} from '../cdi/specification.js';
import type {BigIntStats} from 'node:fs';
import {InvalidArgumentError} from '../../base/errors.js';
import type {DeviceSpec, UserNamespaceSpec} from '../../native/native.js';
import type {ContainerConfig__Output, Device__Output} from '../../proto/cri.js';
import {DEFAULT_DEVICE_RULES, type DeviceRule, type DeviceRules} from '../cgroup/device-rules.js';
import {podRoot} from './user-namespace.js';

/** Device nodes of a container and what its devices cgroup lets through. */
export interface Devices {
	readonly specs: readonly DeviceSpec[];
	readonly rules: DeviceRules;
}

const node = (path: string, major: number, minor: number): DeviceSpec => ({path, type: 'c', major, minor, mode: 0o666, uid: 0, gid: 0});
/** runtime-spec config-linux.md, "Default Devices"; console and ptmx come with the terminal and devpts. */
export const DEFAULT_DEVICES: readonly DeviceSpec[] = [
	node('/dev/null', 1, 3),
	node('/dev/zero', 1, 5),
	node('/dev/full', 1, 7),
	node('/dev/random', 1, 8),
	node('/dev/urandom', 1, 9),
	node('/dev/tty', 5, 0),
];

/** The same section's links. */
export const DEFAULT_SYMLINKS: readonly (readonly [string, string])[] = [
	['/dev/fd', '/proc/self/fd'],
	['/dev/stdin', '/proc/self/fd/0'],
	['/dev/stdout', '/proc/self/fd/1'],
	['/dev/stderr', '/proc/self/fd/2'],
	['/dev/ptmx', 'pts/ptmx'],
];

/** Below the host's /dev: filesystems of their own, and the console, which a container has its own of. */
const NOT_HOST_DEVICES = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', 'ptmx', 'hugepages']);

/**
 * Reads the host's device nodes that the config and its CDI devices name; of a directory all below it; all of the host's when privileged.
 *
 * @throws {InvalidArgumentError} a host path that is missing, or is no device and no directory.
 */
export async function findDevices(config: ContainerConfig__Output, cdi: readonly CdiDeviceNode[] = []): Promise<Devices> {
	const privileged = config.linux?.security_context?.privileged ?? false;
	const owner = toOwner(config);
	const asked = (await Promise.all([...config.devices.map(findAsked), ...cdi.map(node => findCdiNode(node, owner))])).flat();
	const hosts = privileged ? await walk('/dev', '/dev') : [];
	// Later ones win: what the config asks for over the host's own over the defaults.
	const specs = new Map([...DEFAULT_DEVICES, ...hosts, ...asked.map(({spec}) => spec)].map(spec => [spec.path, spec]));
	return {specs: [...specs.values()], rules: privileged ? 'all' : [...DEFAULT_DEVICE_RULES, ...asked.flatMap(toRule)]};
}

/**
 * The devices that every container has belong to its root. All others keep the ids that they have on the node, as if they were bound: the root of a user
 * namespace gets no disk opened because a container is privileged.
 */
export function toOwnedSpecs(specs: readonly DeviceSpec[], userNamespace: UserNamespaceSpec | null): readonly DeviceSpec[] {
	const root = podRoot(userNamespace);
	if (root === null) return specs;
	const isDefault = (spec: DeviceSpec): boolean =>
		DEFAULT_DEVICES.some(({path, type, major, minor}) => path === spec.path && type === spec.type && major === spec.major && minor === spec.minor);
	return specs.map(spec => (isDefault(spec) ? {...spec, ...root} : spec));
}

/** @throws {InvalidArgumentError} paths that are not absolute, permissions other than r, w, m. */
export function assertDevices(devices: readonly Device__Output[]): void {
	for (const [index, {container_path, host_path, permissions}] of devices.entries()) {
		const field = `devices[${index}]`;
		if (!isAbsolute(host_path)) throw new InvalidArgumentError(`${field}.host_path "${host_path}" is not an absolute path`, {field});
		if (container_path !== '' && !isAbsolute(container_path))
			throw new InvalidArgumentError(`${field}.container_path "${container_path}" is not an absolute path`, {field});
		if (!/^[rwm]{0,3}$/.test(permissions) || new Set(permissions).size !== permissions.length)
			throw new InvalidArgumentError(`${field}.permissions "${permissions}" is not made of r, w and m`, {field});
	}
}

/** A container path without ".." that could be the rootfs's own parent. */
function isAbsolute(path: string): boolean {
	return path.startsWith('/') && !path.includes('\0') && !path.split('/').includes('..');
}

interface Asked {
	readonly spec: DeviceSpec;
	readonly access: string;
}

async function findAsked({host_path, container_path, permissions}: Device__Output, index: number): Promise<Asked[]> {
	const field = `devices[${index}].host_path`;
	const target = container_path === '' ? host_path : join('/', container_path);
	let path: string;
	let stats: BigIntStats;
	try {
		path = await realpath(host_path);
		stats = await lstat(path, {bigint: true});
	} catch (cause) {
		throw new InvalidArgumentError(`${field} "${host_path}" cannot be read: ${(cause as Error).message}`, {field}, {cause});
	}
	const specs = stats.isDirectory() ? await walk(path, target) : [toSpec(stats, target)].filter(spec => spec !== null);
	if (specs.length === 0) throw new InvalidArgumentError(`${field} "${host_path}" is no device and holds none`, {field});
	return specs.map(spec => ({spec, access: permissions === '' ? 'rwm' : permissions}));
}

/** CDI's nodes belong to who runs the container, where nothing is said of them. */
function toOwner(config: ContainerConfig__Output): {readonly uid: number; readonly gid: number} {
	const security = config.linux?.security_context ?? null;
	return {uid: Number(security?.run_as_user?.value ?? 0), gid: Number(security?.run_as_group?.value ?? 0)};
}

const CDI_TYPES = {b: 'b', c: 'c', u: 'c', p: 'p'} as const;

/** What the specification leaves out is as on the host. */
async function findCdiNode(cdi: CdiDeviceNode, owner: {readonly uid: number; readonly gid: number}): Promise<Asked[]> {
	const {path, hostPath, major, minor, fileMode, uid, gid, permissions} = cdi;
	const type = cdi.type ? CDI_TYPES[cdi.type] : null;
	const told = type !== null && (type === 'p' || (major !== null && major !== 0)) ? {type, major: major ?? 0, minor: minor ?? 0} : null;
	const found = told ?? (await findOnHost(hostPath ?? path, type));
	const mode = fileMode === null ? 0o666 : fileMode & 0o777;
	const spec: DeviceSpec = {path, type: found.type, major: found.major, minor: found.minor, mode, uid: uid ?? owner.uid, gid: gid ?? owner.gid};
	return [{spec, access: permissions || 'rwm'}];
}

async function findOnHost(path: string, wanted: DeviceSpec['type'] | null): Promise<DeviceSpec> {
	const field = 'CDI_devices';
	let spec: DeviceSpec | null;
	try {
		spec = toSpec(await lstat(await realpath(path), {bigint: true}), path);
	} catch (cause) {
		throw new InvalidArgumentError(`${field}: the device node "${path}" cannot be read: ${(cause as Error).message}`, {field}, {cause});
	}
	if (spec === null || (wanted !== null && wanted !== spec.type))
		throw new InvalidArgumentError(`${field}: "${path}" is no device node of the type that its specification says`, {field});
	return spec;
}

async function walk(dir: string, target: string): Promise<DeviceSpec[]> {
	const entries = await readdir(dir, {withFileTypes: true});
	const found = await Promise.all(
		entries.map(async entry => {
			if (NOT_HOST_DEVICES.has(entry.name)) return [];
			if (entry.isDirectory()) return await walk(join(dir, entry.name), join(target, entry.name));
			if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return [];
			return await findNode(join(dir, entry.name), join(target, entry.name));
		}),
	);
	return found.flat();
}

/** Devices come and go: one that is gone by now is passed over. */
async function findNode(path: string, target: string): Promise<DeviceSpec[]> {
	try {
		const spec = toSpec(await lstat(path, {bigint: true}), target);
		return spec === null ? [] : [spec];
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
		throw error;
	}
}

function toSpec(stats: BigIntStats, path: string): DeviceSpec | null {
	const type = stats.isCharacterDevice() ? 'c' : stats.isBlockDevice() ? 'b' : stats.isFIFO() ? 'p' : null;
	if (type === null) return null;
	return {path, type, ...toMajorMinor(stats.rdev), mode: Number(stats.mode & 0o777n), uid: Number(stats.uid), gid: Number(stats.gid)};
}

/** Of a dev_t as glibc packs it (makedev(3)). */
export function toMajorMinor(rdev: bigint): {readonly major: number; readonly minor: number} {
	return {major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)), minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n))};
}

function toRule({spec, access}: Asked): DeviceRule[] {
	return spec.type === 'p' ? [] : [{type: spec.type, major: spec.major, minor: spec.minor, access}];
}
