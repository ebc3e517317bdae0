import {join} from 'node:path';
import type {ImageOptions, RegistryOptions} from '../image.js';
import type {Reference} from '../reference.js';
import {type Endpoint, isLoopback, NO_TLS_FILES, toOwn, toRegistryHost} from './endpoint.js';
import {readHostsDir} from './hosts-toml.js';

/**
 * Servers of a reference's registry in the order to ask them, the registry itself last. What names the host counts before what is for
 * all; of each, berth.toml before the files.
 *
 * @throws {InvalidArgumentError} a hosts.toml is wrong: names file and key.
 */
export async function findEndpoints({registry}: Reference, options: Pick<ImageOptions, 'registries' | 'registryConfigDir'>): Promise<readonly Endpoint[]> {
	const {registries, registryConfigDir} = options;
	const own = registries[registry];
	if (own !== undefined) return fromTable(registry, own);
	for (const name of toDirectoryNames(registry)) {
		const endpoints = await readHostsDir(join(registryConfigDir, name), toOwn(registry));
		if (endpoints !== null) return endpoints;
	}
	const all = registries['_default'];
	if (all !== undefined) return fromTable(registry, all);
	const forAll = await readHostsDir(join(registryConfigDir, '_default'), toOwn(registry));
	// The server of a file for all registries is none of them.
	return forAll?.map(endpoint => ({...endpoint, isMirror: toRegistryHost(endpoint.base.host) !== toRegistryHost(registry)})) ?? withoutConfig(registry);
}

/** `host_port_` for systems without colons in names, as containerd accepts it on all. */
function toDirectoryNames(registry: string): readonly string[] {
	const port = /^(.+):(\d+)$/.exec(registry);
	return port === null ? [registry] : [`${port[1]}_${port[2]}_`, registry];
}

/** A loopback registry on a port of its own speaks plain http more often than not: it is tried after https, whose certificate nobody could have signed. */
function withoutConfig(registry: string): readonly Endpoint[] {
	const own = toOwn(registry);
	if (!isLoopback(registry) || !/:\d+$/.test(registry) || registry.endsWith(':443')) return [own];
	return [
		{...own, tls: {...NO_TLS_FILES, skipVerify: true}},
		{...own, base: new URL(`http://${registry}/v2/`)},
	];
}

function fromTable(registry: string, table: RegistryOptions): readonly Endpoint[] {
	const own = toOwn(registry);
	const mirrors = table.mirrors.map(
		(url): Endpoint => ({...own, base: new URL(`${url.replace(/\/+$/, '')}/v2/`), isMirror: true, capabilities: ['pull', 'resolve']}),
	);
	const base = new URL(own.base);
	if (table.plainHttp) base.protocol = 'http:';
	const tls = {...NO_TLS_FILES, caFiles: table.caFile === null ? [] : [table.caFile], skipVerify: table.insecureSkipVerify};
	// One host's mirrors are mostly the operator's too: they share its CA and its trust.
	return [...mirrors.map(mirror => ({...mirror, tls})), {...own, base, tls}];
}
