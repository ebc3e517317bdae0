import type {Launcher} from '../../native/native.js';
import type {UserNamespaceSupport} from '../sandbox/user-namespace-support.js';
import type {RuntimeHandler} from './handler.js';

/** berth's own launcher: the pod's monitor is its PodRuntime. @param name '' or an alias. */
export function nativeHandler(name: string, launcher: Launcher, userNamespaces: UserNamespaceSupport): RuntimeHandler {
	return {
		name,
		type: 'native',
		features: {recursiveReadOnlyMounts: true, userNamespaces: userNamespaces.supported},
		problem: null,
		createPod: async (_record, request) => await launcher.createMonitor(request),
		forgetPod: async ({id}) => await launcher.forgetPod(id),
		findPod: async ({id}) => await launcher.findMonitor(id),
	};
}
