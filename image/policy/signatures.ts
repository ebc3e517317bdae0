import {CorruptError, NotFoundError} from '../../base/errors.js';
import {assertDigest, type Descriptor} from '../manifest.js';
import type {ImageSource} from '../source.js';

const SIGNATURE_LAYER = 'application/vnd.dev.cosign.simplesigning.v1+json';
const SIGNATURE_ANNOTATION = 'dev.cosignproject.cosign/signature';
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
/** Per digest. Each re-signing adds one; more is a registry that wants to keep us busy. */
const MAX_SIGNATURES = 128;
/** cosign's payload has some 250 bytes, and what annotations its caller adds. */
const MAX_PAYLOAD_BYTES = 256 * 1024;
const MAX_SIGNATURE_CHARACTERS = 16 * 1024;

/** As the registry gives it: nothing of it is verified, but that the payload has its digest. */
export interface UntrustedSignature {
	/** Of the manifest that it is attached to. */
	readonly digest: string;
	readonly payload: Uint8Array;
	readonly signature: Uint8Array;
}
/** A signature that could not be had, and why. */
export interface BrokenSignature {
	readonly digest: string;
	readonly problem: string;
}

/** Where cosign puts the signatures of a manifest. */
export function signatureTag(digest: string): string {
	return `${digest.replace(':', '-')}.sig`;
}

/**
 * The signatures attached to these manifests, fetched as they are asked for; iterating again fetches none twice.
 *
 * @throws while iterating, what the source throws: a registry that cannot be asked is no registry without signatures.
 */
export class Signatures {
	readonly #known: (UntrustedSignature | BrokenSignature)[] = [];
	readonly #rest: AsyncIterator<UntrustedSignature | BrokenSignature>;

	constructor(source: ImageSource, digests: ReadonlySet<string>, signal: AbortSignal) {
		this.#rest = fetchAll(source, digests, signal);
	}

	async *[Symbol.asyncIterator](): AsyncIterator<UntrustedSignature | BrokenSignature> {
		for (let index = 0; ; index++) {
			if (index === this.#known.length) {
				const next = await this.#rest.next();
				if (next.done === true) return;
				this.#known.push(next.value);
			}
			const signature = this.#known[index];
			if (signature !== undefined) yield signature;
		}
	}
}

async function* fetchAll(source: ImageSource, digests: ReadonlySet<string>, signal: AbortSignal): AsyncGenerator<UntrustedSignature | BrokenSignature> {
	for (const digest of digests) {
		let layers: readonly SignatureLayer[];
		try {
			layers = toSignatureLayers(await source.manifest(signatureTag(digest), signal));
		} catch (error) {
			if (error instanceof NotFoundError) continue;
			if (!(error instanceof CorruptError)) throw error;
			yield {digest, problem: error.message};
			continue;
		}
		for (const layer of layers) yield await fetchSignature(source, digest, layer, signal);
	}
}

async function fetchSignature(source: ImageSource, digest: string, layer: SignatureLayer, signal: AbortSignal): Promise<UntrustedSignature | BrokenSignature> {
	const {descriptor, signature} = layer;
	try {
		if (!/^[A-Za-z0-9+/]+={0,2}$/.test(signature) || signature.length > MAX_SIGNATURE_CHARACTERS)
			throw new CorruptError(`annotation ${SIGNATURE_ANNOTATION} is missing or malformed`);
		if (descriptor.size > MAX_PAYLOAD_BYTES) throw new CorruptError(`payload of ${descriptor.size} bytes is longer than ${MAX_PAYLOAD_BYTES}`);
		const payload = await fetchPayload(source, descriptor, signal);
		return {digest, payload, signature: Buffer.from(signature, 'base64')};
	} catch (error) {
		if (error instanceof CorruptError || error instanceof NotFoundError) return {digest, problem: error.message};
		throw error;
	}
}

async function fetchPayload(source: ImageSource, descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
	const chunks: Uint8Array[] = [];
	let length = 0;
	for await (const chunk of source.blob(descriptor, signal)) {
		length += chunk.length;
		if (length > descriptor.size) throw new CorruptError(`payload is longer than its size ${descriptor.size}`);
		chunks.push(chunk);
	}
	const payload = Buffer.concat(chunks);
	assertDigest(payload, descriptor.digest, 'payload');
	return payload;
}

interface SignatureLayer {
	readonly descriptor: Descriptor;
	/** The annotation; '' when there is none. */
	readonly signature: string;
}

/** Other layers (attestations, say) are left out. @throws {CorruptError} */
function toSignatureLayers(bytes: Uint8Array): readonly SignatureLayer[] {
	let value: unknown;
	try {
		value = JSON.parse(Buffer.from(bytes).toString('utf8'));
	} catch (cause) {
		throw new CorruptError('signature manifest is not JSON', {}, {cause});
	}
	const {mediaType = OCI_MANIFEST, layers} = isObject(value) ? value : {};
	if (mediaType !== OCI_MANIFEST || !Array.isArray(layers)) throw new CorruptError('signature manifest is no OCI image manifest');
	const found = layers.filter(layer => isObject(layer) && layer['mediaType'] === SIGNATURE_LAYER).map(toSignatureLayer);
	if (found.length > MAX_SIGNATURES) throw new CorruptError(`${found.length} signatures are attached, at most ${MAX_SIGNATURES} are looked at`);
	return found;
}

function toSignatureLayer(layer: Record<string, unknown>): SignatureLayer {
	const {digest, size} = layer;
	if (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest)) throw new CorruptError('signature manifest: a layer has no sha256 digest');
	if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw new CorruptError('signature manifest: a layer has no size');
	const annotations = isObject(layer['annotations']) ? layer['annotations'] : {};
	const signature = Object.hasOwn(annotations, SIGNATURE_ANNOTATION) ? annotations[SIGNATURE_ANNOTATION] : '';
	return {descriptor: {mediaType: SIGNATURE_LAYER, digest, size}, signature: typeof signature === 'string' ? signature : ''};
}

export function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
