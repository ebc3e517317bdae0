import {InvalidArgumentError} from '../base/errors.js';

export type JsonObject = Readonly<Record<string, unknown>>;

/** One plugin of a chain, as written: everything but `type` and `capabilities` is the plugin's own. */
export interface PluginConfig extends JsonObject {
	readonly type: string;
}

/** A chain of plugins. Plain JSON, so that the cache can keep the one that an ADD used. */
export interface NetworkConfig {
	readonly name: string;
	readonly cniVersion: string;
	/** The file that it came from, or "embedded default": for messages. */
	readonly source: string;
	readonly plugins: readonly PluginConfig[];
}

/** Oldest first. 0.3.1 brought the result form that we read; older ones have another. */
const SUPPORTED_VERSIONS: readonly string[] = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];
/** CNI spec, "Network configuration format" and "Parameters": one rule for network names and container ids. */
export const CNI_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const PLUGIN_TYPE = /^[^/\0]+$/;

/** Whether a file of the conf dir is looked at: the same endings as libcni. */
export function isConfigFileName(fileName: string): boolean {
	return /\.(conflist|conf|json)$/.test(fileName);
}

/**
 * Reads a network configuration (CNI spec 1.1, section 1). `.conflist` is a list; `.conf` and `.json` hold a single plugin, which becomes a list of one.
 *
 * @throws {InvalidArgumentError} naming file, field and rule.
 */
export function parseNetworkConfig(fileName: string, text: string): NetworkConfig {
	const document = parseJsonObject(fileName, text);
	const isList = fileName.endsWith('.conflist');
	if (!isList && Array.isArray(document['plugins'])) throw invalid(fileName, 'plugins', 'a list of plugins belongs into a file that ends in .conflist');
	return {
		name: nameOf(fileName, document['name']),
		cniVersion: versionOf(fileName, document),
		source: fileName,
		plugins: isList ? pluginsOf(fileName, document['plugins']) : [pluginOf(fileName, 'type', document)],
	};
}

/** Names of the capabilities that the plugin declares and wants as runtimeConfig. */
export function capabilitiesOf(plugin: PluginConfig): ReadonlySet<string> {
	const declared = plugin['capabilities'];
	return new Set(isJsonObject(declared) ? Object.keys(declared).filter(name => declared[name] === true) : []);
}

export function isJsonObject(value: unknown): value is JsonObject {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseJsonObject(fileName: string, text: string): JsonObject {
	let document: unknown;
	try {
		document = JSON.parse(text);
	} catch (cause) {
		throw new InvalidArgumentError(`${fileName}: not JSON: ${(cause as Error).message}`, {file: fileName}, {cause});
	}
	if (!isJsonObject(document)) throw new InvalidArgumentError(`${fileName}: must be a JSON object`, {file: fileName});
	return document;
}

function nameOf(fileName: string, name: unknown): string {
	if (typeof name !== 'string' || !CNI_NAME.test(name))
		throw invalid(fileName, 'name', 'must start with a letter or digit, then letters, digits, "_", "." and "-"');
	return name;
}

/** `cniVersions` (spec 1.1) lists what the configuration works with; the highest that we speak wins. */
function versionOf(fileName: string, document: JsonObject): string {
	const {cniVersion, cniVersions} = document;
	const offered: unknown[] = Array.isArray(cniVersions) ? [...(cniVersions as unknown[])] : [];
	if (cniVersion !== undefined) offered.push(cniVersion);
	const version = SUPPORTED_VERSIONS.findLast(supported => offered.includes(supported));
	if (version === undefined)
		throw invalid(fileName, 'cniVersion', `must be one of ${SUPPORTED_VERSIONS.join(', ')}, is ${JSON.stringify(cniVersion ?? cniVersions ?? null)}`);
	return version;
}

function pluginsOf(fileName: string, plugins: unknown): readonly PluginConfig[] {
	if (!Array.isArray(plugins) || plugins.length === 0) throw invalid(fileName, 'plugins', 'must be a list of at least one plugin');
	return plugins.map((plugin, index) => pluginOf(fileName, `plugins[${index}].type`, plugin));
}

function pluginOf(fileName: string, field: string, plugin: unknown): PluginConfig {
	if (!isJsonObject(plugin)) throw invalid(fileName, field.replace(/\.type$/, ''), 'must be a JSON object');
	const {type} = plugin;
	// The type is a file name below the bin dirs: a path would run any program of the host.
	if (typeof type !== 'string' || !PLUGIN_TYPE.test(type) || type === '.' || type === '..')
		throw invalid(fileName, field, 'must be the file name of a plugin, without a path');
	const {capabilities} = plugin;
	if (capabilities !== undefined && !isJsonObject(capabilities)) throw invalid(fileName, field.replace(/type$/, 'capabilities'), 'must be a JSON object');
	return plugin as PluginConfig;
}

function invalid(file: string, field: string, rule: string): InvalidArgumentError {
	return new InvalidArgumentError(`${file}: ${field}: ${rule}`, {file, field, rule});
}
