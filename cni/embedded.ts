import {isIPv6} from 'node:net';
import type {CniOptions} from './cni.js';
import type {NetworkConfig} from './config.js';

/**
 * The network of a node whose conf dir has no configuration: one bridge, addresses from host-local, host ports by portmap, masquerade towards the world.
 * 1.0.0 because the plugins of Debian 12 and Ubuntu 22.04 know nothing newer.
 */
export function embeddedNetwork(options: NonNullable<CniOptions['embedded']>): NetworkConfig {
	const defaultRoutes = new Set(options.subnets.map(subnet => (isIPv6(subnet.split('/')[0] ?? '') ? '::/0' : '0.0.0.0/0')));
	return {
		// host-local keeps its leases below this name: two daemons with two bridges must not share them.
		name: options.bridge,
		cniVersion: '1.0.0',
		source: 'embedded default',
		plugins: [
			{
				type: 'bridge',
				bridge: options.bridge,
				isGateway: true,
				ipMasq: true,
				// A pod that calls its own service or host port gets its packets back on the port they came from.
				hairpinMode: true,
				ipam: {
					type: 'host-local',
					dataDir: options.dataDir,
					ranges: options.subnets.map(subnet => [{subnet}]),
					routes: [...defaultRoutes].map(dst => ({dst})),
				},
			},
			{type: 'portmap', capabilities: {portMappings: true}},
		],
	};
}
