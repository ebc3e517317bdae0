import {BlockList, isIP} from 'node:net';
import type {ProxyOptions} from '../image.js';
import {isLoopback} from './endpoint.js';

/**
 * The proxy for a URL, null = none, by the rules of Go's net/http, which operators know from containerd: https goes by HTTPS_PROXY only,
 * http by HTTP_PROXY only, loopback by none. NO_PROXY: "*", host names (and all below them), ".domain" and "*.domain" (only below),
 * addresses, subnets in CIDR form, each but the last with an optional port.
 */
export function proxyFor(url: URL, {http, https, noProxy}: ProxyOptions): string | null {
	const proxy = url.protocol === 'https:' ? https : http;
	if (proxy === null || isLoopback(url.hostname)) return null;
	const host = url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
	const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
	return noProxy.split(/[\s,]+/).some(entry => entry !== '' && isMeant(entry.toLowerCase(), host, port)) ? null : proxy;
}

function isMeant(entry: string, host: string, port: string): boolean {
	if (entry === '*') return true;
	const family = isIP(host);
	const subnet = /^(.+)\/(\d{1,3})$/.exec(entry);
	if (subnet !== null) return family !== 0 && isInside(host, subnet[1] ?? '', Number(subnet[2]));
	const {name, port: wantedPort} = splitPort(entry);
	if (wantedPort !== null && wantedPort !== port) return false;
	if (family !== 0 || isIP(name) !== 0) return isIP(name) === family && family !== 0 && isInside(host, name, family === 4 ? 32 : 128);
	if (name.startsWith('*.') || name.startsWith('.')) return host.endsWith(name.replace(/^\*/, ''));
	return host === name || host.endsWith(`.${name}`);
}

/** "[::1]:443", "::1", "host:443", "host" */
function splitPort(entry: string): {readonly name: string; readonly port: string | null} {
	const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(entry);
	if (bracketed !== null) return {name: bracketed[1] ?? '', port: bracketed[2] ?? null};
	const plain = isIP(entry) === 6 ? null : /^([^:]+):(\d+)$/.exec(entry);
	return plain === null ? {name: entry.replace(/\.$/, ''), port: null} : {name: plain[1] ?? '', port: plain[2] ?? null};
}

function isInside(address: string, network: string, bits: number): boolean {
	const family = isIP(network);
	if (family === 0 || family !== isIP(address) || bits > (family === 4 ? 32 : 128)) return false;
	const list = new BlockList();
	list.addSubnet(network, bits, family === 4 ? 'ipv4' : 'ipv6');
	return list.check(address, family === 4 ? 'ipv4' : 'ipv6');
}
