import {PermissionDeniedError} from '../../base/errors.js';
import type {RegistryAuth} from '../image.js';

/** One WWW-Authenticate challenge (RFC 9110, 11.6.1). */
export interface Challenge {
	readonly scheme: 'basic' | 'bearer';
	readonly realm: string;
	readonly service: string;
	readonly scope: string;
}

/** The challenge to answer, null when there is none that we know. */
export function parseChallenge(header: string): Challenge | null {
	const [, scheme = '', rest = ''] = /^\s*(basic|bearer)\s*(.*)$/i.exec(header) ?? [];
	if (scheme === '') return null;
	const parameters = new Map(
		[...rest.matchAll(/(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))/g)].map(([, key = '', quoted, plain]) => [key.toLowerCase(), quoted ?? plain ?? '']),
	);
	return {
		scheme: scheme.toLowerCase() === 'basic' ? 'basic' : 'bearer',
		realm: parameters.get('realm') ?? '',
		service: parameters.get('service') ?? '',
		scope: parameters.get('scope') ?? '',
	};
}

/** Authorization by user and password; null when `auth` has none. */
export function toBasic(auth: RegistryAuth | null): string | null {
	if (auth === null) return null;
	if (auth.auth !== '') return `Basic ${auth.auth}`;
	if (auth.username === '') return null;
	return `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;
}

/** Where to ask for a token (distribution-spec, token authentication). @throws {PermissionDeniedError} a realm that is no http URL. */
export function tokenUrl(challenge: Challenge, repository: string): URL {
	const url = URL.parse(challenge.realm);
	if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
		throw new PermissionDeniedError(`registry asks for a token from ${JSON.stringify(challenge.realm)}, which is no http URL`);
	if (challenge.service !== '') url.searchParams.set('service', challenge.service);
	url.searchParams.set('scope', challenge.scope === '' ? `repository:${repository}:pull` : challenge.scope);
	return url;
}
