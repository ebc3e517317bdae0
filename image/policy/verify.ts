import type {Reference} from '../reference.js';
import {isIdentityAccepted, type SignedIdentity} from './identity.js';
import {isSignedBy, type PublicKey} from './public-key.js';
import {isObject, type UntrustedSignature} from './signatures.js';
import {parseStrictJson} from './strict-json.js';

const SIGNATURE_TYPE = 'cosign container image signature';

export interface Wanted {
	/** Any one of them. */
	readonly keys: readonly PublicKey[];
	readonly identity: SignedIdentity;
	readonly image: Reference;
}

/** @returns null when the signature is accepted, else why not. The payload is parsed only once it is known to be a key owner's. */
export async function findFault({digest, payload, signature}: UntrustedSignature, {keys, identity, image}: Wanted): Promise<string | null> {
	let signed = false;
	for (const key of keys) signed ||= await isSignedBy(key, payload, signature);
	if (!signed) return 'not made by a key of the policy';
	const statement = toStatement(payload);
	if (typeof statement === 'string') return statement;
	// What is attached to this digest must speak of it: a good signature of another image proves nothing here.
	if (statement.digest !== digest) return `signs another manifest, ${quote(statement.digest)}`;
	if (!isIdentityAccepted(identity, image, statement.reference)) return `is for ${quote(statement.reference)}, which ${identity.type} does not accept`;
	return null;
}

interface Statement {
	readonly digest: string;
	readonly reference: string;
}

/** What simple signing says ("critical"), or why it says nothing. Keys that are not known there could change its meaning. */
function toStatement(payload: Uint8Array): Statement | string {
	let value: unknown;
	try {
		({value} = parseStrictJson(new TextDecoder('utf-8', {fatal: true}).decode(payload)));
	} catch {
		return 'its payload is not JSON';
	}
	if (!isObject(value) || !Object.keys(value).every(key => key === 'critical' || key === 'optional')) return 'its payload is not of the simple signing form';
	const critical = pick(value['critical'], ['type', 'image', 'identity']);
	const image = pick(critical?.['image'], ['docker-manifest-digest']);
	const identity = pick(critical?.['identity'], ['docker-reference']);
	const digest = image?.['docker-manifest-digest'];
	const reference = identity?.['docker-reference'];
	if (typeof digest !== 'string' || typeof reference !== 'string') return 'its payload is not of the simple signing form';
	if (critical?.['type'] !== SIGNATURE_TYPE) return `its payload is no "${SIGNATURE_TYPE}"`;
	return {digest, reference};
}

/** The value when it is an object with exactly these keys. */
function pick(value: unknown, keys: readonly string[]): Record<string, unknown> | null {
	if (!isObject(value)) return null;
	const found = Object.keys(value);
	return found.length === keys.length && keys.every(key => Object.hasOwn(value, key)) ? value : null;
}

function quote(text: string): string {
	return JSON.stringify(text.slice(0, 200));
}
