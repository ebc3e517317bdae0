import {InvalidArgumentError} from '../base/errors.js';

/** An image reference as Docker and OCI normalise it (distribution/reference, "Grammar"). */
export interface Reference {
	/** "docker.io", "registry.k8s.io", "localhost:5000" */
	readonly registry: string;
	/** "library/busybox" */
	readonly repository: string;
	/** null when only a digest was given. */
	readonly tag: string | null;
	/** "sha256:…" */
	readonly digest: string | null;
}

const DOMAIN =
	/^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/;
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const MAX_NAME_LENGTH = 255;

/** @throws {InvalidArgumentError} naming the part and its rule. */
export function parseReference(text: string): Reference {
	const [beforeDigest = '', digest = null, ...more] = text.split('@');
	if (more.length > 0) throw refuse(text, 'has more than one "@"');
	if (digest !== null && !DIGEST.test(digest)) throw refuse(text, 'has a digest that is not sha256: and 64 hex digits');
	const colon = beforeDigest.lastIndexOf(':');
	const hasTag = colon > beforeDigest.lastIndexOf('/');
	const name = hasTag ? beforeDigest.slice(0, colon) : beforeDigest;
	const tag = hasTag ? beforeDigest.slice(colon + 1) : null;
	if (name === '') throw refuse(text, 'has no repository');
	if (tag !== null && !TAG.test(tag)) throw refuse(text, 'has a tag that is not up to 128 of letters, digits, "_", "." and "-"');
	const {registry, repository} = splitName(name);
	if (!DOMAIN.test(registry)) throw refuse(text, `has an invalid registry "${registry}"`);
	if (!REPOSITORY.test(repository)) throw refuse(text, 'has a repository that is not lower-case path components');
	if (registry.length + repository.length + 1 > MAX_NAME_LENGTH) throw refuse(text, `has a name longer than ${MAX_NAME_LENGTH}`);
	return {registry, repository, tag: tag ?? (digest === null ? 'latest' : null), digest};
}

/** "docker.io/library/busybox:latest" */
export function toName(reference: Reference): string {
	return `${reference.registry}/${reference.repository}`;
}

export function toText(reference: Reference): string {
	return toName(reference) + (reference.tag === null ? '' : `:${reference.tag}`) + (reference.digest === null ? '' : `@${reference.digest}`);
}

/** True for what can only be an image id: "sha256:<hex>" or 64 hex digits. */
export function isImageId(text: string): boolean {
	return /^(?:sha256:)?[0-9a-f]{64}$/.test(text);
}

function splitName(name: string): {readonly registry: string; readonly repository: string} {
	const slash = name.indexOf('/');
	const first = name.slice(0, slash);
	const isRegistry = slash > 0 && (first.includes('.') || first.includes(':') || first === 'localhost' || first !== first.toLowerCase());
	if (!isRegistry) return {registry: 'docker.io', repository: slash < 0 ? `library/${name}` : name};
	const registry = first === 'index.docker.io' ? 'docker.io' : first;
	const rest = name.slice(slash + 1);
	return {registry, repository: registry === 'docker.io' && !rest.includes('/') ? `library/${rest}` : rest};
}

function refuse(text: string, rule: string): InvalidArgumentError {
	return new InvalidArgumentError(`image reference ${JSON.stringify(text.slice(0, 300))} ${rule}`, {field: 'image'});
}
