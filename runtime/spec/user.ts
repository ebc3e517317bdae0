import {InvalidArgumentError} from '../../base/errors.js';
import type {UserSpec} from '../../native/native.js';
import {SupplementalGroupsPolicy, type ContainerConfig__Output} from '../../proto/cri.js';

/** Ids that the kernel takes: 32 bits, all ones is "none". Kubernetes allows 31 bits. */
const MAX_ID = 2_147_483_647;

/**
 * Who runs the container: the security context's user, else the image's.
 *
 * @param imageUser "", "user", "uid", "user:group", "uid:gid" (image-spec config.md, User).
 * @throws {InvalidArgumentError} a group without a user; user by id and by name; an id out of range; a name that could be taken for something else.
 * @see api.proto, LinuxContainerSecurityContext.
 */
export function toUserSpec(config: ContainerConfig__Output, imageUser: string): UserSpec {
	const security = config.linux?.security_context ?? null;
	const uid = toId('run_as_user', security?.run_as_user?.value ?? null);
	const gid = toId('run_as_group', security?.run_as_group?.value ?? null);
	const username = security?.run_as_username ?? '';
	if (uid !== null && username !== '')
		throw new InvalidArgumentError('run_as_user and run_as_username are both set: only one may be', {field: 'run_as_username'});
	if (gid !== null && uid === null && username === '')
		throw new InvalidArgumentError('run_as_group is set without run_as_user or run_as_username', {field: 'run_as_group'});
	if (/[:\0\n/]/.test(username)) throw new InvalidArgumentError(`run_as_username "${username}" is not a user name`, {field: 'run_as_username'});
	return {
		spec: uid === null && username === '' ? imageUser : toSpec(uid, username, gid),
		uid,
		gid,
		supplementalGids: (security?.supplemental_groups ?? []).map(group => toId('supplemental_groups', group) ?? 0),
		groupsPolicy: security?.supplemental_groups_policy === SupplementalGroupsPolicy.Strict ? 'strict' : 'merge',
	};
}

function toSpec(uid: number | null, username: string, gid: number | null): string {
	return `${uid ?? username}${gid === null ? '' : `:${gid}`}`;
}

function toId(field: string, value: string | null): number | null {
	if (value === null) return null;
	const id = Number(value);
	if (!Number.isInteger(id) || id < 0 || id > MAX_ID) throw new InvalidArgumentError(`${field} ${value} is not in 0..${MAX_ID}`, {field});
	return id;
}
