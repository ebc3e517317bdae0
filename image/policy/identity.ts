import {type Reference, toName} from '../reference.js';
import {findReference, toPinned} from './scope.js';

/** Which identity a signature must claim (containers-policy.json(5), "signedIdentity"). */
export type SignedIdentity =
	| {readonly type: 'matchExact'}
	| {readonly type: 'matchRepoDigestOrExact'}
	| {readonly type: 'matchRepository'}
	| {readonly type: 'exactReference'; readonly dockerReference: string}
	| {readonly type: 'exactRepository'; readonly dockerRepository: string}
	| {readonly type: 'remapIdentity'; readonly prefix: string; readonly signedPrefix: string};

/** A reference as written: no tag is made up. */
interface Claim {
	readonly name: string;
	readonly tag: string | null;
	readonly digest: string | null;
}

/** Whether a signature that claims `claimed` (its docker-reference) is one for the image that was asked for. */
export function isIdentityAccepted(identity: SignedIdentity, image: Reference, claimed: string): boolean {
	const claim = toClaim(claimed);
	if (claim === null) return false;
	const {tag, digest} = toPinned(image);
	const asked = {name: toName(image), tag, digest};
	switch (identity.type) {
		case 'matchExact':
			return isSame(asked, claim);
		case 'matchRepoDigestOrExact':
			return isRepoDigestOrExact(asked, claim);
		case 'matchRepository':
			return claim.name === asked.name;
		case 'exactReference': {
			const wanted = toClaim(identity.dockerReference);
			return wanted !== null && isSame(wanted, claim);
		}
		case 'exactRepository':
			return claim.name === toClaim(identity.dockerRepository)?.name;
		default:
			// remapIdentity: no other has a prefix.
			return isRepoDigestOrExact({...asked, name: remap(asked.name, identity)}, claim);
	}
}

/** True for "host/name:tag" and "host/name@digest", and for the short forms that expand to such. */
export function hasTagOrDigest(text: string): boolean {
	return /[:@][^/]*$/.test(text);
}

function toClaim(text: string): Claim | null {
	const reference = findReference(text);
	if (reference === null) return null;
	return {name: toName(reference), tag: hasTagOrDigest(text) ? reference.tag : null, digest: reference.digest};
}

function isSame(wanted: Claim, claim: Claim): boolean {
	return isFull(wanted) && claim.name === wanted.name && claim.tag === wanted.tag && claim.digest === wanted.digest;
}

/** By digest the content is fixed already, and any tag of the repository will do. */
function isRepoDigestOrExact(asked: Claim, claim: Claim): boolean {
	if (asked.tag !== null) return isSame(asked, claim);
	return asked.digest !== null && isFull(claim) && claim.name === asked.name;
}

function isFull({tag, digest}: Claim): boolean {
	return tag !== null || digest !== null;
}

function remap(name: string, {prefix, signedPrefix}: {readonly prefix: string; readonly signedPrefix: string}): string {
	return name === prefix || name.startsWith(`${prefix}/`) ? signedPrefix + name.slice(prefix.length) : name;
}
