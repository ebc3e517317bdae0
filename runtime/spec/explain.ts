import {errnoText, InvalidArgumentError, SyscallError, UnimplementedError} from '../../base/errors.js';
import {explainCgroupError} from '../cgroup/change.js';
import {toFailure} from './image-mounts.js';

const EPERM = 1;
const ENOENT = 2;
const ENOTDIR = 20;
const EINVAL = 22;
const ERANGE = 34;
const ELOOP = 40;
/** Something else is where the path leads: EEXIST, ENOTDIR, EISDIR, EINVAL (mount), ENAMETOOLONG, ELOOP. */
const IN_THE_WAY = [17, ENOTDIR, 21, EINVAL, 36, ELOOP] as const;

type Explanation = (error: SyscallError, path: string) => Error;

/** By the stage that the init names, for the errno that tells what the request asked too much of. */
const EXPLANATIONS: Readonly<Record<string, readonly [errnos: readonly number[] | null, explanation: Explanation]>> = {
	'cgroup write': [null, cause => explainCgroupError(cause, null) as Error],
	'id-map volume': [
		[EINVAL],
		(cause, path) =>
			new UnimplementedError(
				`mounts.uidMappings, gidMappings: the filesystem of host_path "${path}" has no id-mapped mounts`,
				{field: 'mounts.uidMappings', hostPath: path},
				{cause},
			),
	],
	'set user': [[EINVAL], toUnmapped],
	'set group': [[EINVAL], toUnmapped],
	'set groups': [[EINVAL], toUnmapped],
	'look up user': [
		[ENOENT],
		(cause, path) =>
			new InvalidArgumentError(
				`run_as_username "${path}", or the image's user: the container's /etc/passwd has no such name`,
				{field: 'run_as_username'},
				{cause},
			),
	],
	'look up group': [
		[ENOENT],
		(cause, path) => new InvalidArgumentError(`the image's group "${path}": the container's /etc/group has no such name`, {field: 'image'}, {cause}),
	],
	'change directory': [
		IN_THE_WAY,
		(cause, path) => new InvalidArgumentError(`working_dir "${path}" cannot be entered or made: ${errnoText(cause.errno)}`, {field: 'working_dir'}, {cause}),
	],
	'mount bind': [
		IN_THE_WAY,
		(cause, path) =>
			new InvalidArgumentError(
				`mounts: container_path "${path}" cannot be made, or is no directory where host_path is one, or the other way round: ${errnoText(cause.errno)}`,
				{field: 'mounts.container_path'},
				{cause},
			),
	],
	'mount proc': [[ENOTDIR, ELOOP], toBadRoot],
	'mount sysfs': [[ENOTDIR, ELOOP], toBadRoot],
	'mounts.host_path stat': [IN_THE_WAY, toBadHostPath],
	'mounts.host_path mkdir': [IN_THE_WAY, toBadHostPath],
	'open image sub path': [null, cause => toFailure('mounts.image_sub_path', cause)],
	'mount image': [null, cause => toFailure('mounts.image', cause)],
	'write sysctl': [
		null,
		(cause, path) => new InvalidArgumentError(`sysctls: "${path}" is not there, or refuses the value: ${cause.message}`, {field: 'sysctls'}, {cause}),
	],
	'time namespace': [[EINVAL], cause => new UnimplementedError('time offsets: this kernel has no time namespaces', {field: 'annotations'}, {cause})],
	'set time offsets': [
		[ERANGE],
		cause => new InvalidArgumentError('time offsets: with them a clock would be before its beginning, or beyond its end', {field: 'annotations'}, {cause}),
	],
	'set rlimit': [
		[EPERM],
		cause => new InvalidArgumentError('runtime.default_ulimits of the config: a hard limit is above the one that this machine gives the daemon', {}, {cause}),
	],
	'set AppArmor profile': [
		[ENOENT],
		(cause, path) =>
			new InvalidArgumentError(`security_context.apparmor: profile "${path}" is not loaded on this node`, {field: 'security_context.apparmor'}, {cause}),
	],
	'set SELinux label': [
		[EINVAL],
		(cause, path) =>
			new InvalidArgumentError(
				`security_context.selinux_options: the policy of this node has no "${path}"`,
				{field: 'security_context.selinux_options'},
				{cause},
			),
	],
};

/** What only the kernel knows, in words for who asked: a filesystem without id-mapped mounts, an id that the image names and the pod has not. Others as they are. */
export function explain(error: unknown): unknown {
	if (!(error instanceof SyscallError)) return error;
	const [errnos, explanation] = EXPLANATIONS[String(error.details['stage'])] ?? [];
	if (explanation === undefined || errnos?.includes(error.errno) === false) return error;
	return explanation(error, String(error.details['path'] ?? ''));
}

function toUnmapped(cause: SyscallError): Error {
	return new InvalidArgumentError("the user that the image names has an id that is not mapped in the pod's user namespace", {field: 'image'}, {cause});
}

function toBadRoot(cause: SyscallError, path: string): Error {
	return new InvalidArgumentError(`image: its ${path} is no plain directory: ${errnoText(cause.errno)}`, {field: 'image'}, {cause});
}

function toBadHostPath(cause: SyscallError, path: string): Error {
	return new InvalidArgumentError(`mounts: host_path "${path}" cannot be read or made: ${errnoText(cause.errno)}`, {field: 'mounts.host_path'}, {cause});
}
