import {InvalidArgumentError, SyscallError, UnimplementedError} from '../../base/errors.js';
import type {IdRange, UserNamespaceSpec} from '../../native/native.js';
import {NamespaceMode, type ContainerConfig__Output, type IDMapping__Output, type Mount__Output, type NamespaceOption__Output} from '../../proto/cri.js';
import type {SandboxRecord} from '../sandbox/record.js';

const FIELD = 'namespace_options.userns_options';
/** Ids are 32 bits; all ones is none. */
const ID_END = 0xffff_ffff;
const EINVAL = 22;

/** @throws {InvalidArgumentError} a mode or a mapping that the CRI excludes. @see api.proto, UserNamespace. */
export function assertUserNamespace(options: NamespaceOption__Output | null): void {
	const wanted = options?.userns_options ?? null;
	if (wanted === null) return;
	const {mode, uids, gids} = wanted;
	if (mode !== NamespaceMode.POD && mode !== NamespaceMode.NODE)
		throw new InvalidArgumentError(`${FIELD}.mode: only POD and NODE are known`, {field: `${FIELD}.mode`});
	for (const [name, mappings] of Object.entries({uids, gids})) {
		if (mode === NamespaceMode.POD) assertMapping(`${FIELD}.${name}`, mappings);
		else if (mappings.length > 0) throw new InvalidArgumentError(`${FIELD}.${name}: mode NODE has no mappings`, {field: `${FIELD}.${name}`});
	}
}

function assertMapping(field: string, mappings: readonly IDMapping__Output[]): void {
	const [mapping] = mappings;
	if (mapping === undefined || mappings.length > 1)
		throw new InvalidArgumentError(`${field}: exactly one mapping is needed, ${mappings.length} are given`, {field});
	const {container_id, host_id, length} = mapping;
	if (container_id !== 0)
		throw new InvalidArgumentError(`${field}[0].container_id is ${container_id}: it must be 0, so that the container's root is mapped`, {field});
	if (length === 0 || host_id + length > ID_END)
		throw new InvalidArgumentError(`${field}[0]: ${length} ids from host_id ${host_id} on are not in 0..${ID_END - 1}`, {field});
}

/** null: the node's. The options have passed assertUserNamespace. */
export function toUserNamespace(options: NamespaceOption__Output | null): UserNamespaceSpec | null {
	const wanted = options?.userns_options ?? null;
	if (wanted === null || wanted.mode !== NamespaceMode.POD) return null;
	return {uids: toRange(wanted.uids), gids: toRange(wanted.gids)};
}

function toRange([mapping]: readonly IDMapping__Output[]): IdRange {
	return {first: mapping?.host_id ?? 0, count: mapping?.length ?? 0};
}

/** A container is in its pod's user namespace; it may say so again. @throws {InvalidArgumentError} it says otherwise, or asks for ids that are not mapped. */
export function assertInUserNamespace(config: ContainerConfig__Output, {userNamespace}: Pick<SandboxRecord, 'userNamespace'>): void {
	const security = config.linux?.security_context ?? null;
	const options = security?.namespace_options ?? null;
	assertUserNamespace(options);
	if (options?.userns_options && !isSame(toUserNamespace(options), userNamespace))
		throw new InvalidArgumentError(`${FIELD}: not those of the pod sandbox`, {field: FIELD});
	if (userNamespace === null) return;
	const {uids, gids} = userNamespace;
	assertMapped('run_as_user', security?.run_as_user?.value ?? '0', uids);
	assertMapped('run_as_group', security?.run_as_group?.value ?? '0', gids);
	for (const group of security?.supplemental_groups ?? []) assertMapped('supplemental_groups', group, gids);
}

function assertMapped(field: string, id: string, {count}: IdRange): void {
	if (Number(id) >= count) throw new InvalidArgumentError(`${field} ${id} is not mapped in the pod's user namespace, which has ids 0..${count - 1}`, {field});
}

/** @throws {UnimplementedError} mappings that are not the pod's; {InvalidArgumentError} what a user namespace keeps in. */
export function assertIdMapping(field: string, mount: Mount__Output, userNamespace: UserNamespaceSpec | null): void {
	if (!isIdMapped(mount)) return;
	const mappings = {uids: mount.uidMappings, gids: mount.gidMappings};
	for (const [name, list] of Object.entries(mappings)) assertMapping(`${field}.${name === 'uids' ? 'uidMappings' : 'gidMappings'}`, list);
	if (userNamespace === null)
		throw new UnimplementedError(`${field}.uidMappings, gidMappings: id-mapped mounts are not implemented in a pod without a user namespace`, {
			field: `${field}.uidMappings`,
		});
	if (!isSame({uids: toRange(mappings.uids), gids: toRange(mappings.gids)}, userNamespace))
		throw new UnimplementedError(`${field}.uidMappings, gidMappings: other mappings than the pod's are not implemented`, {field: `${field}.uidMappings`});
}

export function isIdMapped({uidMappings, gidMappings}: Pick<Mount__Output, 'uidMappings' | 'gidMappings'>): boolean {
	return uidMappings.length + gidMappings.length > 0;
}

function isSame(one: UserNamespaceSpec | null, other: UserNamespaceSpec | null): boolean {
	if (one === null || other === null) return one === other;
	return (['uids', 'gids'] as const).every(kind => one[kind].first === other[kind].first && one[kind].count === other[kind].count);
}

/** What only the kernel knows, in words for who asked: a filesystem without id-mapped mounts, an id that the image names and the pod has not. Others as they are. */
export function explain(error: unknown): unknown {
	if (!(error instanceof SyscallError) || error.errno !== EINVAL) return error;
	const {stage, path} = error.details;
	if (stage === 'id-map volume')
		return new UnimplementedError(
			`mounts.uidMappings, gidMappings: the filesystem of host_path "${path}" has no id-mapped mounts`,
			{field: 'mounts.uidMappings', hostPath: path ?? ''},
			{cause: error},
		);
	if (stage === 'set user' || stage === 'set group' || stage === 'set groups')
		return new InvalidArgumentError("the user that the image names has an id that is not mapped in the pod's user namespace", {field: 'image'}, {cause: error});
	return error;
}

/** Who the pod's root is on the node; null: without a user namespace, the node's own. */
export function podRoot(userNamespace: UserNamespaceSpec | null): {readonly uid: number; readonly gid: number} | null {
	return userNamespace === null ? null : {uid: userNamespace.uids.first, gid: userNamespace.gids.first};
}
