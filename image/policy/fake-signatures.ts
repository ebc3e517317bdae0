import {generateKeyPairSync, sign, type KeyObject} from 'node:crypto';
import {NotFoundError} from '../../base/errors.js';
import {type Descriptor, digestOf} from '../manifest.js';
import type {ImageSource} from '../source.js';
import {signatureTag} from './signatures.js';

export type KeyType = 'p256' | 'p384' | 'ed25519' | 'rsa';

export interface Signer {
	readonly pem: string;
	readonly privateKey: KeyObject;
	readonly hash: 'sha256' | null;
}

export function newSigner(type: KeyType = 'p256'): Signer {
	const {publicKey, privateKey} = newPair(type);
	return {pem: publicKey.export({type: 'spki', format: 'pem'}) as string, privateKey, hash: type === 'ed25519' ? null : 'sha256'};
}

function newPair(type: KeyType): {readonly publicKey: KeyObject; readonly privateKey: KeyObject} {
	if (type === 'ed25519') return generateKeyPairSync('ed25519');
	if (type === 'rsa') return generateKeyPairSync('rsa', {modulusLength: 2048});
	return generateKeyPairSync('ec', {namedCurve: type === 'p256' ? 'P-256' : 'P-384'});
}

/** What cosign signs. */
export function toPayload(digest: string, reference: string, type = 'cosign container image signature'): Buffer {
	return Buffer.from(JSON.stringify({critical: {identity: {'docker-reference': reference}, image: {'docker-manifest-digest': digest}, type}, optional: null}));
}

export interface FakeLayer {
	readonly payload: Buffer;
	/** base64. */
	readonly signature: string;
	readonly mediaType?: string;
	/** Instead of the payload's. */
	readonly size?: number;
	/** Instead of the payload's. */
	readonly digest?: string;
}

export function signed(signer: Signer, payload: Buffer): FakeLayer {
	return {payload, signature: sign(signer.hash, payload, signer.privateKey).toString('base64')};
}

/** A repository that holds nothing but signatures. */
export class FakeSignatures implements ImageSource {
	readonly manifests = new Map<string, Buffer>();
	readonly blobs = new Map<string, Buffer>();
	readonly asked: string[] = [];

	attach(digest: string, layers: readonly FakeLayer[]): void {
		const descriptors = layers.map(layer => {
			const own = layer.digest ?? digestOf(layer.payload);
			this.blobs.set(own, layer.payload);
			return {
				mediaType: layer.mediaType ?? 'application/vnd.dev.cosign.simplesigning.v1+json',
				digest: own,
				size: layer.size ?? layer.payload.length,
				annotations: {'dev.cosignproject.cosign/signature': layer.signature},
			};
		});
		const manifest = {schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: {}, layers: descriptors};
		this.manifests.set(signatureTag(digest), Buffer.from(JSON.stringify(manifest)));
	}

	async manifest(tagOrDigest: string): Promise<Uint8Array> {
		this.asked.push(tagOrDigest);
		const found = this.manifests.get(tagOrDigest);
		if (found === undefined) throw new NotFoundError('image', tagOrDigest);
		return found;
	}

	async *blob({digest}: Descriptor): AsyncIterable<Uint8Array> {
		this.asked.push(digest);
		const found = this.blobs.get(digest);
		if (found === undefined) throw new NotFoundError('image', digest);
		yield found.subarray(0, 10);
		yield found.subarray(10);
	}
}
