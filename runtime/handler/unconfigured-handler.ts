import {UnavailableError} from '../../base/errors.js';
import type {Launcher} from '../../native/native.js';
import type {SandboxRecord} from '../sandbox/record.js';
import type {PodRuntime, RuntimeHandler} from './handler.js';

export interface UnconfiguredParts {
	readonly launcher: Launcher;
	/** The handler that a pod was made by, of what was kept beside the pod; null: nothing was, its monitor is enough to end it. */
	findSaved(record: SandboxRecord): Promise<RuntimeHandler | null>;
}

/**
 * The handler of a pod that was made when the config still had it: its monitor (and its shim, if it has one) tells of the containers, stops
 * and removes them; nothing new is run in it, since that is what was taken out.
 */
export function unconfiguredHandler(name: string, {launcher, findSaved}: UnconfiguredParts): RuntimeHandler {
	const problem = `runtime handler "${name}" is not configured any more`;
	return {
		name,
		type: 'native',
		features: {recursiveReadOnlyMounts: false, userNamespaces: false},
		problem,
		createPod: async () => refuse(problem),
		forgetPod: async record => {
			const saved = await findSaved(record);
			if (saved === null) await launcher.forgetPod(record.id);
			else await saved.forgetPod(record);
		},
		findPod: async record => {
			const saved = await findSaved(record);
			const pod = saved === null ? await launcher.findMonitor(record.id) : await saved.findPod(record);
			return pod === null ? null : closedPod(pod, problem);
		},
	};
}

function refuse(problem: string): never {
	throw new UnavailableError(problem, {field: 'runtime_handler'});
}

function closedPod(pod: Omit<PodRuntime, 'createContainer'>, problem: string): PodRuntime {
	const {updateResources, pause, resume} = pod;
	return {
		sandboxId: pod.sandboxId,
		pid: pod.pid,
		createContainer: async () => refuse(problem),
		startContainer: async () => refuse(problem),
		exec: async () => refuse(problem),
		execSync: async () => refuse(problem),
		signal: (...args) => pod.signal(...args),
		removeContainer: id => pod.removeContainer(id),
		attach: request => pod.attach(request),
		reopenLog: id => pod.reopenLog(id),
		list: () => pod.list(),
		destroy: () => pod.destroy(),
		// Absent where the cgroup is all that there is to change.
		...(updateResources === undefined ? {} : {updateResources: updateResources.bind(pod)}),
		...(pause === undefined ? {} : {pause: pause.bind(pod)}),
		...(resume === undefined ? {} : {resume: resume.bind(pod)}),
	};
}
