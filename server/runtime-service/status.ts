import type {StatusRequest__Output, StatusResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';

/**
 * Status: the kubelet makes the node Ready from the two conditions, and Node.status.runtimeHandlers and features from the rest.
 * A feature is announced exactly when CreateContainer or RunPodSandbox does it.
 */
export async function handleStatus(call: Call, request: StatusRequest__Output): Promise<StatusResponse> {
	const network = call.runtime.cni.status();
	const userNamespaces = call.runtime.userNamespaces.supported;
	return {
		status: {
			conditions: [
				{type: 'RuntimeReady', status: true, reason: '', message: ''},
				{type: 'NetworkReady', status: network.ready, reason: network.reason, message: network.message},
			],
		},
		runtime_handlers: [{name: '', features: {recursive_read_only_mounts: true, user_namespaces: userNamespaces}}],
		features: {supplemental_groups_policy: true, user_namespaces_host_network: userNamespaces, mount_options: true},
		...(request.verbose ? {info: toInfo(call)} : {}),
	};
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
		snapshotter: JSON.stringify({name: 'overlay', features: [...runtime.images.snapshotFeatures(), {name: 'id-mapped layers', used: supported, reason}]}),
		versions: JSON.stringify({berth: facts.version, node: facts.nodeVersion, kernel: facts.kernelRelease, launcherProtocol: runtime.launcher.protocolVersion}),
	};
}
