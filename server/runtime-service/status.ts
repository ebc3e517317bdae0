import type {StatusRequest__Output, StatusResponse} from '../../proto/cri.js';
import type {RuntimeHandler} from '../../runtime/handler/handler.js';
import type {Call} from '../call.js';

/**
 * Status: the kubelet makes the node Ready from the two conditions, and Node.status.runtimeHandlers and features from the rest.
 * A feature is announced exactly when CreateContainer or RunPodSandbox does it.
 */
export async function handleStatus(call: Call, request: StatusRequest__Output): Promise<StatusResponse> {
	const {runtime} = call;
	const network = runtime.cni.status();
	const usable = runtime.handlers.list().filter(({problem}) => problem === null);
	return {
		status: {
			conditions: [
				{type: 'RuntimeReady', status: true, reason: '', message: ''},
				{type: 'NetworkReady', status: network.ready, reason: network.reason, message: network.message},
				toHandlersCondition(runtime.handlers.list()),
			],
		},
		runtime_handlers: usable.map(({name, features}) => ({
			name,
			features: {recursive_read_only_mounts: features.recursiveReadOnlyMounts, user_namespaces: features.userNamespaces},
		})),
		features: {supplemental_groups_policy: true, user_namespaces_host_network: usable[0]?.features.userNamespaces ?? false, mount_options: true},
		...(request.verbose ? {info: toInfo(call)} : {}),
	};
}

/** The kubelet passes over conditions that it does not know: a runtime that is missing costs its pods, not the node. */
function toHandlersCondition(handlers: readonly RuntimeHandler[]): {
	readonly type: string;
	readonly status: boolean;
	readonly reason: string;
	readonly message: string;
} {
	const unusable = handlers.filter(({problem}) => problem !== null);
	const message = unusable.map(({name, problem}) => `"${name}": ${problem}`).join('; ');
	return {type: 'RuntimeHandlersReady', status: unusable.length === 0, reason: unusable.length === 0 ? '' : 'RuntimeHandlerUnusable', message};
}

/** `config.stateDir` is read by critest, which probes the filesystem of its parent for idmapped mounts. */
function toInfo({runtime, facts}: Call): {[key: string]: string} {
	const {options} = runtime;
	const {supported, reason} = runtime.userNamespaces;
	return {
		config: JSON.stringify({
			stateDir: options.runDir,
			rootDir: options.rootDir,
			netnsDir: options.netnsDir,
			cgroupRoot: options.cgroupRoot,
			socket: facts.socketPath,
		}),
		handlers: JSON.stringify(runtime.handlers.list().map(({name, type, problem}) => ({name, type, usable: problem === null, problem: problem ?? ''}))),
		snapshotter: JSON.stringify({name: 'overlay', features: [...runtime.images.snapshotFeatures(), {name: 'id-mapped layers', used: supported, reason}]}),
		versions: JSON.stringify({berth: facts.version, node: facts.nodeVersion, kernel: facts.kernelRelease, launcherProtocol: runtime.launcher.protocolVersion}),
	};
}
