import type {NetworkConfig} from './config.js';

/** What the conf dir and the bin dirs said when they were last read. */
export interface NetworkFacts {
	/** The configuration in use; null: none. */
	readonly network: NetworkConfig | null;
	/** Files that are passed over, each with its reason. */
	readonly broken: readonly string[];
	/** A plugin of `network` that no bin dir has. '' when all are there. */
	readonly missingPlugin: string;
}

/** Kubelet's own word for it, seen by its users as the reason of NetworkReady=false. */
const NOT_READY = 'NetworkPluginNotReady';

/** The NetworkReady condition. */
export function toStatus(
	{network, broken, missingPlugin}: NetworkFacts,
	confDir: string,
): {readonly ready: boolean; readonly reason: string; readonly message: string} {
	const complaints = broken.join('; ');
	if (network === null)
		return {
			ready: false,
			reason: NOT_READY,
			message: complaints === '' ? `no network configuration in ${confDir}` : `no valid network configuration in ${confDir}: ${complaints}`,
		};
	if (missingPlugin !== '')
		return {ready: false, reason: NOT_READY, message: `network "${network.name}" (${network.source}): ${[missingPlugin, ...broken].join('; ')}`};
	return {ready: true, reason: '', message: complaints === '' ? '' : `network "${network.name}" (${network.source}) is used; passed over: ${complaints}`};
}
