import {dirname} from 'node:path';
import {parseReference, type Reference, toName, toText} from '../reference.js';

/** Where an image comes from, in the words of containers-transports(5). */
export type ImageOrigin =
	| {readonly transport: 'docker'; readonly reference: Reference}
	/** `path`: absolute and without symbolic links. */
	| {readonly transport: 'docker-archive' | 'oci' | 'oci-archive'; readonly path: string};

/** A reference with tag and digest is one by digest: the digest decides what is pulled. The same in CRI-O. */
export function toPinned(reference: Reference): Reference {
	return reference.digest === null ? reference : {...reference, tag: null};
}

/** "docker.io/library/busybox:1.36", or the file or directory of an archive. */
export function toDisplay(origin: ImageOrigin): string {
	return origin.transport === 'docker' ? toText(origin.reference) : origin.path;
}

/** The scopes that an image falls under, most specific first; after them come the transport's "" and the policy's default (containers-policy.json(5)). */
export function scopesOf(origin: ImageOrigin): readonly string[] {
	if (origin.transport === 'docker') return registryScopes(toPinned(origin.reference));
	// The man page allows docker-archive no scope but "".
	return origin.transport === 'docker-archive' ? [] : pathScopes(origin.path);
}

/** The reference, its repository, each parent namespace, the host, then "*." and each parent domain; a wildcard leaves the port out. */
function registryScopes(reference: Reference): readonly string[] {
	const scopes = [toText(reference)];
	let name = toName(reference);
	for (;;) {
		scopes.push(name);
		const slash = name.lastIndexOf('/');
		if (slash < 0) break;
		name = name.slice(0, slash);
	}
	let [domain = ''] = name.split(':');
	for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.')) {
		domain = domain.slice(dot + 1);
		scopes.push(`*.${domain}`);
	}
	return scopes;
}

function pathScopes(path: string): readonly string[] {
	const scopes: string[] = [];
	for (let scope = path; scope !== '/' && scope !== '.'; scope = dirname(scope)) scopes.push(scope);
	return scopes;
}

/** Whether some image of the docker transport can fall under the scope. One that cannot ("busybox", "docker.io/busybox:1") is a trap: it looks like a rule. */
export function isRegistryScope(scope: string): boolean {
	if (scope === '' || isNamePrefix(scope)) return true;
	if (scope.startsWith('*.')) return !/[/:@]/.test(scope) && isNamePrefix(`x${scope.slice(1)}`);
	const reference = findReference(scope);
	return reference !== null && toText(reference) === scope && (reference.tag === null) !== (reference.digest === null);
}

/** A registry host, a namespace or a repository in the fully expanded form. */
export function isNamePrefix(text: string): boolean {
	const inside = findReference(`${text}/x/y`);
	return inside !== null && toName(inside) === `${text}/x/y`;
}

/** null when the text is no reference. */
export function findReference(text: string): Reference | null {
	try {
		return parseReference(text);
	} catch {
		return null;
	}
}
