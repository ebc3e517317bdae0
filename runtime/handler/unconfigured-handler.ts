import {UnavailableError} from '../../base/errors.js';
import type {Launcher, Monitor} from '../../native/native.js';
import type {PodRuntime, RuntimeHandler} from './handler.js';

/**
 * The handler of a pod that was made when the config still had it: its monitor tells of the containers, stops and removes them;
 * nothing new is run in it, since nobody knows any more how.
 */
export function unconfiguredHandler(name: string, launcher: Launcher): RuntimeHandler {
	const problem = `runtime handler "${name}" is not configured any more`;
	return {
		name,
		type: 'native',
		features: {recursiveReadOnlyMounts: false, userNamespaces: false},
		problem,
		createPod: async () => refuse(problem),
		forgetPod: async ({id}) => await launcher.forgetPod(id),
		findPod: async ({id}) => {
			const monitor = await launcher.findMonitor(id);
			return monitor === null ? null : closedPod(monitor, problem);
		},
	};
}

function refuse(problem: string): never {
	throw new UnavailableError(problem, {field: 'runtime_handler'});
}

function closedPod(monitor: Monitor, problem: string): PodRuntime {
	return {
		sandboxId: monitor.sandboxId,
		pid: monitor.pid,
		createContainer: async () => refuse(problem),
		startContainer: async () => refuse(problem),
		exec: async () => refuse(problem),
		execSync: async () => refuse(problem),
		signal: (...args) => monitor.signal(...args),
		removeContainer: id => monitor.removeContainer(id),
		attach: request => monitor.attach(request),
		reopenLog: id => monitor.reopenLog(id),
		list: () => monitor.list(),
		destroy: () => monitor.destroy(),
	};
}
