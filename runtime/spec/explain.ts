import {InvalidArgumentError, SyscallError, UnimplementedError} from '../../base/errors.js';
import {explainCgroupError} from '../cgroup/change.js';
import {toFailure} from './image-mounts.js';

const EPERM = 1;
const ENOENT = 2;
const EINVAL = 22;
const ERANGE = 34;

type Explanation = (error: SyscallError, path: string) => Error;

/** By the stage that the init names, for the errno that tells what the request asked too much of. */
const EXPLANATIONS: Readonly<Record<string, readonly [errno: number | null, explanation: Explanation]>> = {
	'cgroup write': [null, cause => explainCgroupError(cause, null) as Error],
	'id-map volume': [
		EINVAL,
		(cause, path) =>
			new UnimplementedError(
				`mounts.uidMappings, gidMappings: the filesystem of host_path "${path}" has no id-mapped mounts`,
				{field: 'mounts.uidMappings', hostPath: path},
				{cause},
			),
	],
	'set user': [EINVAL, toUnmapped],
	'set group': [EINVAL, toUnmapped],
	'set groups': [EINVAL, toUnmapped],
	'look up user': [
		ENOENT,
		(cause, path) =>
			new InvalidArgumentError(
				`run_as_username "${path}", or the image's user: the container's /etc/passwd has no such name`,
				{field: 'run_as_username'},
				{cause},
			),
	],
	'look up group': [
		ENOENT,
		(cause, path) => new InvalidArgumentError(`the image's group "${path}": the container's /etc/group has no such name`, {field: 'image'}, {cause}),
	],
	'open image sub path': [null, cause => toFailure('mounts.image_sub_path', cause)],
	'mount image': [null, cause => toFailure('mounts.image', cause)],
	'write sysctl': [
		null,
		(cause, path) => new InvalidArgumentError(`sysctls: "${path}" is not there, or refuses the value: ${cause.message}`, {field: 'sysctls'}, {cause}),
	],
	'time namespace': [EINVAL, cause => new UnimplementedError('time offsets: this kernel has no time namespaces', {field: 'annotations'}, {cause})],
	'set time offsets': [
		ERANGE,
		cause => new InvalidArgumentError('time offsets: with them a clock would be before its beginning, or beyond its end', {field: 'annotations'}, {cause}),
	],
	'set rlimit': [
		EPERM,
		cause => new InvalidArgumentError('runtime.default_ulimits of the config: a hard limit is above the one that this machine gives the daemon', {}, {cause}),
	],
	'set AppArmor profile': [
		ENOENT,
		(cause, path) =>
			new InvalidArgumentError(`security_context.apparmor: profile "${path}" is not loaded on this node`, {field: 'security_context.apparmor'}, {cause}),
	],
	'set SELinux label': [
		EINVAL,
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
	const [errno, explanation] = EXPLANATIONS[String(error.details['stage'])] ?? [];
	if (explanation === undefined || (errno !== null && errno !== error.errno)) return error;
	return explanation(error, String(error.details['path'] ?? ''));
}

function toUnmapped(cause: SyscallError): Error {
	return new InvalidArgumentError("the user that the image names has an id that is not mapped in the pod's user namespace", {field: 'image'}, {cause});
}
