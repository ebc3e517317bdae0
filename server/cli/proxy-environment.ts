import {InvalidArgumentError} from '../../base/errors.js';
import type {ProxyOptions} from '../../image/image.js';

const SCHEMES = ['http:', 'https:', 'socks5:'];

/**
 * The proxy that the environment names, upper case first, as containerd's do.
 *
 * @throws {InvalidArgumentError} naming the variable, never its value: that may hold a password.
 */
export function toProxyOptions(environment: Readonly<Record<string, string | undefined>>): ProxyOptions {
	return {
		http: toProxyUrl(environment, 'HTTP_PROXY'),
		https: toProxyUrl(environment, 'HTTPS_PROXY'),
		noProxy: valueOf(environment, 'NO_PROXY'),
	};
}

function toProxyUrl(environment: Readonly<Record<string, string | undefined>>, name: string): string | null {
	const value = valueOf(environment, name);
	if (value === '') return null;
	const url = URL.parse(value.includes('://') ? value : `http://${value}`);
	if (url === null || url.hostname === '' || !SCHEMES.includes(url.protocol))
		throw new InvalidArgumentError(`environment variable ${name} must be the URL of a proxy (http://, https:// or socks5://)`, {variable: name});
	return url.href;
}

function valueOf(environment: Readonly<Record<string, string | undefined>>, name: string): string {
	return (environment[name] || environment[name.toLowerCase()] || '').trim();
}
