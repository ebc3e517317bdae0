import {realpath} from 'node:fs/promises';
import {dirname} from 'node:path';
import {InvalidArgumentError} from '../../base/errors.js';
import type {Runtime} from '../runtime.js';
import type {LaunchPlan} from '../spec/launch-plan.js';

/** Directories that the node's own programs live in: with a container's label they would be closed to them. */
const NOT_RELABELLED = new Set([
	'/',
	'/bin',
	'/boot',
	'/dev',
	'/etc',
	'/home',
	'/lib',
	'/lib64',
	'/opt',
	'/proc',
	'/root',
	'/run',
	'/sbin',
	'/srv',
	'/sys',
	'/tmp',
	'/usr',
	'/var',
	'/var/lib',
	'/var/log',
]);

/**
 * What is to be there before a container is made: its log's directory, host paths, and their labels.
 *
 * @throws {SyscallError} stage "mounts.host_path …". {InvalidArgumentError} a label for what is the node's.
 */
export async function prepareHostPaths(runtime: Pick<Runtime, 'kernel'>, plan: LaunchPlan): Promise<void> {
	// The log's directory, and host paths of mounts that do not exist yet: directories, as the peers make them.
	const {logPath, mounts} = plan.record;
	await runtime.kernel.makeHostPaths(
		logPath === '' ? null : dirname(logPath),
		mounts.map(({hostPath}) => hostPath).filter(path => path !== ''),
	);
	if (plan.mountLabel === null) return;
	for (const [index, {hostPath, selinuxRelabel}] of plan.record.mounts.entries()) {
		if (!selinuxRelabel || hostPath === '') continue;
		const path = await realpath(hostPath);
		const field = `mounts[${index}].selinux_relabel`;
		if (NOT_RELABELLED.has(path)) throw new InvalidArgumentError(`${field}: "${path}" is the node's own and keeps its label`, {field});
		await runtime.kernel.labelTree(path, plan.mountLabel);
	}
}
