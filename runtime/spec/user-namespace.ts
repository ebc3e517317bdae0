import {InvalidArgumentError} from '../../base/errors.js';
import type {IdMapRange, IdMaps, IdRange, UserNamespaceSpec} from '../../native/native.js';
import {NamespaceMode, type ContainerConfig__Output, type IDMapping__Output, type Mount__Output, type NamespaceOption__Output} from '../../proto/cri.js';
import type {SandboxRecord} from '../sandbox/record.js';

const FIELD = 'namespace_options.userns_options';
/** Ids are 32 bits; all ones is none. */
const ID_END = 0xffff_ffff;
/** Of the kernel (UID_GID_MAP_MAX_EXTENTS). */
const MAX_RANGES = 340;

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

/** How a mount's ids are mapped: not, as the pod's, or its own way. The mount has passed assertIdMapping. */
export function toIdMaps(mount: Pick<Mount__Output, 'uidMappings' | 'gidMappings'>): IdMaps | null {
	if (!isIdMapped(mount)) return null;
	const toRanges = (list: readonly IDMapping__Output[]) =>
		list.map(({container_id, host_id, length}) => ({inside: container_id, outside: host_id, count: length}));
	return {uids: toRanges(mount.uidMappings), gids: toRanges(mount.gidMappings)};
}

/** Then its ids on disk are those of the pod's user namespace. */
export function isMappedAsPod({uids, gids}: IdMaps, userNamespace: UserNamespaceSpec | null): boolean {
	if (userNamespace === null) return false;
	const isPods = (ranges: readonly IdMapRange[], {first, count}: IdRange): boolean =>
		ranges.length === 1 && ranges[0]?.inside === 0 && ranges[0].outside === first && ranges[0].count === count;
	return isPods(uids, userNamespace.uids) && isPods(gids, userNamespace.gids);
}

/** @throws {InvalidArgumentError} ranges that the kernel cannot take. @see user_namespaces(7), "Defining user and group ID mappings". */
export function assertIdMapping(field: string, mount: Mount__Output): void {
	const maps = toIdMaps(mount);
	if (maps === null) return;
	for (const [name, ranges] of [
		['uidMappings', maps.uids],
		['gidMappings', maps.gids],
	] as const) {
		const refuse = (rule: string): never => {
			throw new InvalidArgumentError(`${field}.${name}: ${rule}`, {field: `${field}.${name}`});
		};
		if (ranges.length === 0) refuse('is empty, and the other mappings are not');
		if (ranges.length > MAX_RANGES) refuse(`has ${ranges.length} entries, more than ${MAX_RANGES}`);
		for (const {inside, outside, count} of ranges) {
			if (count === 0 || inside + count > ID_END || outside + count > ID_END)
				refuse(`${count} ids from container_id ${inside} and host_id ${outside} on are not in 0..${ID_END - 1}`);
		}
		if (overlaps(ranges.map(({inside, count}) => [inside, count])) || overlaps(ranges.map(({outside, count}) => [outside, count])))
			refuse('its ranges overlap');
	}
}

function overlaps(ranges: readonly (readonly [first: number, count: number])[]): boolean {
	const sorted = ranges.toSorted(([a], [b]) => a - b);
	return sorted.some(([first], index) => index > 0 && first < (sorted[index - 1]?.[0] ?? 0) + (sorted[index - 1]?.[1] ?? 0));
}

export function isIdMapped({uidMappings, gidMappings}: Pick<Mount__Output, 'uidMappings' | 'gidMappings'>): boolean {
	return uidMappings.length + gidMappings.length > 0;
}

function isSame(one: UserNamespaceSpec | null, other: UserNamespaceSpec | null): boolean {
	if (one === null || other === null) return one === other;
	return (['uids', 'gids'] as const).every(kind => one[kind].first === other[kind].first && one[kind].count === other[kind].count);
}

/** Who the pod's root is on the node; null: without a user namespace, the node's own. */
export function podRoot(userNamespace: UserNamespaceSpec | null): {readonly uid: number; readonly gid: number} | null {
	return userNamespace === null ? null : {uid: userNamespace.uids.first, gid: userNamespace.gids.first};
}
