import {isIP} from 'node:net';
import {FailedError} from '../base/errors.js';
import {isJsonObject, type JsonObject} from './config.js';

/** The name of the pod's interface, CNI_IFNAME of every call. */
export const POD_INTERFACE = 'eth0';

/**
 * Checks what a plugin printed after ADD: a Success result of CNI 0.3.1 to 1.1.0 (`ips` entries with or without `version`). Kept whole: it is the next plugin's prevResult.
 *
 * @throws {FailedError} naming the plugin and what is wrong.
 */
export function parseResult(pluginType: string, stdout: Uint8Array): JsonObject {
	const text = new TextDecoder().decode(stdout);
	let result: unknown;
	try {
		result = JSON.parse(text);
	} catch (cause) {
		throw badResult(pluginType, `not JSON: ${excerpt(text)}`, cause);
	}
	if (!isJsonObject(result)) throw badResult(pluginType, `not a JSON object: ${excerpt(text)}`);
	for (const [index, ip] of listOf(pluginType, result, 'ips').entries()) {
		const address = isJsonObject(ip) ? ip['address'] : undefined;
		if (typeof address !== 'string' || !isCidr(address)) throw badResult(pluginType, `ips[${index}].address must be an address with prefix length`);
	}
	for (const [index, entry] of listOf(pluginType, result, 'interfaces').entries()) {
		if (!isJsonObject(entry) || typeof entry['name'] !== 'string') throw badResult(pluginType, `interfaces[${index}].name must be a string`);
	}
	return result;
}

/** The addresses of the pod's interface in a checked result, in the plugins' order, without prefix length. An address that names no interface is the pod's. */
export function podIps(result: JsonObject): readonly string[] {
	const interfaces = (result['interfaces'] ?? []) as readonly JsonObject[];
	const ips = (result['ips'] ?? []) as readonly JsonObject[];
	return ips.filter(ip => isOnPodInterface(ip['interface'], interfaces)).map(ip => (ip['address'] as string).split('/')[0] as string);
}

/** At most the first 200 characters of a program's output, on one line. */
export function excerpt(text: string): string {
	const line = text.replace(/[\p{Cc}\s]+/gu, ' ').trim();
	if (line === '') return '(nothing)';
	return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

function isOnPodInterface(index: unknown, interfaces: readonly JsonObject[]): boolean {
	if (typeof index !== 'number') return true;
	const entry = interfaces[index];
	return entry !== undefined && entry['name'] === POD_INTERFACE && typeof entry['sandbox'] === 'string' && entry['sandbox'] !== '';
}

function listOf(pluginType: string, result: JsonObject, field: 'ips' | 'interfaces'): readonly unknown[] {
	const list = result[field] ?? [];
	if (!Array.isArray(list)) throw badResult(pluginType, `${field} must be a list`);
	return list;
}

function isCidr(text: string): boolean {
	const [address = '', prefix = '', ...rest] = text.split('/');
	const family = isIP(address);
	return rest.length === 0 && family !== 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}

function badResult(plugin: string, rule: string, cause?: unknown): FailedError {
	return new FailedError(`CNI plugin "${plugin}" ADD printed an invalid result: ${rule}`, {plugin, command: 'ADD'}, {cause});
}
