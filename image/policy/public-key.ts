import {createPublicKey, type KeyObject, verify} from 'node:crypto';
import {InvalidArgumentError} from '../../base/errors.js';

const MIN_RSA_BITS = 2048;
const CURVES: readonly string[] = ['prime256v1', 'secp384r1', 'secp521r1'];

/** A key that cosign signs with, as `cosign public-key` prints it. */
export interface PublicKey {
	readonly key: KeyObject;
	/** null: the algorithm has its own (Ed25519). Else SHA-256, whatever the curve or length: cosign signs so. */
	readonly hash: 'sha256' | null;
}

/**
 * One PEM block of type PUBLIC KEY (SubjectPublicKeyInfo) or RSA PUBLIC KEY (PKCS #1): ECDSA over P-256, P-384 or P-521, Ed25519, or RSA.
 *
 * @throws {InvalidArgumentError} anything else, such as a private key, a certificate, or two keys of which one would go unused.
 */
export function toPublicKey(pem: string): PublicKey {
	const labels = [...pem.matchAll(/^-----BEGIN ([^\n]*?)-----\s*$/gm)].map(([, label = '']) => label);
	if (labels.length !== 1) throw new InvalidArgumentError(`must hold exactly one PEM block, holds ${labels.length}`);
	const [label] = labels;
	if (label !== 'PUBLIC KEY' && label !== 'RSA PUBLIC KEY')
		throw new InvalidArgumentError(`must be a PEM block of type "PUBLIC KEY", is ${JSON.stringify(label?.slice(0, 100))}`);
	let key: KeyObject;
	try {
		key = createPublicKey({key: pem, format: 'pem'});
	} catch (cause) {
		throw new InvalidArgumentError(`is no public key: ${(cause as NodeJS.ErrnoException).code ?? 'malformed'}`, {}, {cause});
	}
	const {namedCurve = '', modulusLength = 0} = key.asymmetricKeyDetails ?? {};
	if (key.asymmetricKeyType === 'ed25519') return {key, hash: null};
	if (key.asymmetricKeyType === 'ec' && CURVES.includes(namedCurve)) return {key, hash: 'sha256'};
	if (key.asymmetricKeyType === 'rsa' && modulusLength >= MIN_RSA_BITS) return {key, hash: 'sha256'};
	throw new InvalidArgumentError(
		`must be a key of ECDSA (P-256, P-384, P-521), Ed25519 or RSA (${MIN_RSA_BITS} bits or more), is ${key.asymmetricKeyType} ${namedCurve || modulusLength || ''}`.trimEnd(),
	);
}

/** True when `signature` (ECDSA: as DER; RSA: PKCS #1 v1.5) is the key's over `bytes`. Off the event loop. */
export async function isSignedBy({key, hash}: PublicKey, bytes: Uint8Array, signature: Uint8Array): Promise<boolean> {
	return await new Promise<boolean>(resolve => {
		// An error is a signature that is not even well-formed.
		verify(hash, bytes, key, signature, (error, good) => resolve(error === null && good));
	});
}
