/** One WWW-Authenticate challenge (RFC 9110, 11.6.1) of a scheme that we answer. */
export interface Challenge {
	readonly scheme: 'basic' | 'bearer';
	readonly realm: string;
	readonly service: string;
	/** Several with spaces between; '' for none. */
	readonly scope: string;
}

/** A scheme, or a parameter of the scheme before it. */
const PART = /([\w!#$%&'*+.^`|~-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/g;

/** The challenge to answer: Bearer before Basic; null when there is none that we know. */
export function parseChallenge(header: string): Challenge | null {
	const found: {scheme: string; parameters: Map<string, string>}[] = [];
	for (const [, name = '', quoted, plain] of header.matchAll(PART)) {
		const value = quoted?.replaceAll(/\\(.)/g, '$1') ?? plain;
		if (value === undefined) found.push({scheme: name.toLowerCase(), parameters: new Map()});
		else found.at(-1)?.parameters.set(name.toLowerCase(), value);
	}
	const chosen = found.find(({scheme}) => scheme === 'bearer') ?? found.find(({scheme}) => scheme === 'basic');
	if (chosen === undefined) return null;
	const {scheme, parameters} = chosen;
	return {
		scheme: scheme === 'basic' ? 'basic' : 'bearer',
		realm: parameters.get('realm') ?? '',
		service: parameters.get('service') ?? '',
		scope: parameters.get('scope') ?? '',
	};
}
