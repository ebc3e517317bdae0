import {mkdir, realpath, stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import {InvalidArgumentError, SyscallError} from '../../base/errors.js';
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
	await makeHostPaths(plan);
	if (plan.mountLabel === null) return;
	for (const [index, {hostPath, selinuxRelabel}] of plan.record.mounts.entries()) {
		if (!selinuxRelabel || hostPath === '') continue;
		const path = await realpath(hostPath);
		const field = `mounts[${index}].selinux_relabel`;
		if (NOT_RELABELLED.has(path)) throw new InvalidArgumentError(`${field}: "${path}" is the node's own and keeps its label`, {field});
		await runtime.kernel.labelTree(path, plan.mountLabel);
	}
}

/** The log's directory, and host paths of mounts that do not exist yet: directories, as the peers make them. */
async function makeHostPaths(plan: LaunchPlan): Promise<void> {
	if (plan.record.logPath !== '') await mkdir(dirname(plan.record.logPath), {recursive: true, mode: 0o755});
	// All are asked for before one is made: a request with a bad path makes nothing.
	const paths = plan.record.mounts.map(({hostPath}) => hostPath).filter(path => path !== '');
	const found = await Promise.all(paths.map(exists));
	for (const [index, path] of paths.entries()) {
		if (found[index] === true) continue;
		try {
			await mkdir(path, {recursive: true, mode: 0o755});
		} catch (error) {
			const {errno = 0} = error as NodeJS.ErrnoException;
			throw new SyscallError('mounts.host_path mkdir', Math.abs(errno), path);
		}
	}
}

async function exists(path: string): Promise<boolean> {
	try {
		await stat(path);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
		throw new SyscallError('mounts.host_path stat', Math.abs((error as NodeJS.ErrnoException).errno ?? 0), path);
	}
}
