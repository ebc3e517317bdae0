import type {Attachment} from './cni.js';
import {capabilitiesOf, type JsonObject, type PluginConfig} from './config.js';

/** Bits. A pod may always burst: the rate is what its annotation limits. The plugin refuses 4 GB and more; peers use this value too. */
const UNLIMITED_BURST_BITS = 2_147_483_647;

/** What the pod asks for, by capability, for a plugin that declares it (CNI CONVENTIONS.md, "Dynamic Plugin specific Fields"). Absent wishes are left out. */
export function runtimeConfigOf(plugin: PluginConfig, attachment: Attachment): JsonObject {
	const declared = capabilitiesOf(plugin);
	return Object.fromEntries(Object.entries(wishesOf(attachment)).filter(([name, wish]) => declared.has(name) && wish !== null));
}

/** Whether a pod with host ports would lose them: no plugin of the chain maps ports. */
export function dropsHostPorts(plugins: readonly PluginConfig[], attachment: Attachment): boolean {
	return hostPorts(attachment) !== null && !plugins.some(plugin => capabilitiesOf(plugin).has('portMappings'));
}

function wishesOf(attachment: Attachment): Readonly<Record<string, unknown>> {
	const {servers, searches, options} = attachment.dns;
	return {
		portMappings: hostPorts(attachment),
		bandwidth: bandwidthOf(attachment),
		dns: servers.length + searches.length + options.length > 0 ? {servers, searches, options} : null,
		cgroupPath: attachment.cgroupPath === '' ? null : attachment.cgroupPath,
	};
}

/** An entry without host port only documents what the container listens on. */
function hostPorts({portMappings}: Attachment): readonly JsonObject[] | null {
	const mapped = portMappings.filter(({hostPort}) => hostPort > 0);
	if (mapped.length === 0) return null;
	return mapped.map(({protocol, containerPort, hostPort, hostIp}) => ({protocol, containerPort, hostPort, hostIP: hostIp}));
}

function bandwidthOf({bandwidth}: Attachment): JsonObject | null {
	if (bandwidth === null) return null;
	const {ingressRate, egressRate} = bandwidth;
	return {
		...(ingressRate === null ? {} : {ingressRate, ingressBurst: UNLIMITED_BURST_BITS}),
		...(egressRate === null ? {} : {egressRate, egressBurst: UNLIMITED_BURST_BITS}),
	};
}
