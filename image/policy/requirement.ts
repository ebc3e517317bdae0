import * as v from 'valibot';
import {hasTagOrDigest, type SignedIdentity} from './identity.js';
import {type PublicKey, toPublicKey} from './public-key.js';
import {findReference, isNamePrefix, isRegistryScope} from './scope.js';

/** One rule of a scope; an image must keep all of them. */
export type Requirement = {readonly type: 'insecureAcceptAnything'} | {readonly type: 'reject'} | SigstoreSigned;

/** A keyed cosign signature by any one of the keys. */
export type SigstoreSigned = {
	readonly type: 'sigstoreSigned';
	/** Read anew at each use, as the policy is: a key is rotated by replacing its file. */
	readonly keyPaths: readonly string[];
	readonly keys: readonly PublicKey[];
	readonly identity: SignedIdentity;
};

export interface PolicyContent {
	readonly default: readonly Requirement[];
	/** Transport → scope → requirements. */
	readonly transports: Readonly<Record<string, Readonly<Record<string, readonly Requirement[]>>>>;
}

const KEY_FIELDS = ['keyPath', 'keyPaths', 'keyData', 'keyDatas'] as const;
const TYPES = '"insecureAcceptAnything", "reject" or "sigstoreSigned"';

const text = v.string('must be a string');
const path = v.pipe(text, v.regex(/^\/[^\0]+$/, 'must be an absolute path'));
const inlineKey = v.pipe(
	text,
	v.rawTransform<string, PublicKey>(({dataset, addIssue, NEVER}) => {
		if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(dataset.value)) {
			addIssue({message: 'must be the base64 of a PEM public key'});
			return NEVER;
		}
		try {
			return toPublicKey(Buffer.from(dataset.value, 'base64').toString('latin1'));
		} catch (error) {
			addIssue({message: (error as Error).message});
			return NEVER;
		}
	}),
);

function some<const S extends v.GenericSchema<unknown, unknown>>(item: S) {
	return v.pipe(v.array(item, 'must be an array'), v.minLength(1, 'must not be empty'));
}

function unsupported(what: string) {
	return v.optional(v.never(`${what}: not supported, only keyed signatures without a transparency log are`));
}

const dockerReference = v.pipe(
	text,
	v.check(value => findReference(value) !== null && hasTagOrDigest(value), 'must be an image reference with a tag or digest'),
);
const dockerRepository = v.pipe(
	text,
	v.check(value => findReference(value) !== null, 'must be a repository'),
);
const prefix = v.pipe(text, v.check(isNamePrefix, 'must be a registry host, namespace or repository in the fully expanded form'));

const identity: v.GenericSchema<unknown, SignedIdentity> = v.variant(
	'type',
	[
		v.strictObject({type: v.literal('matchExact')}),
		v.strictObject({type: v.literal('matchRepoDigestOrExact')}),
		v.strictObject({type: v.literal('matchRepository')}),
		v.strictObject({type: v.literal('exactReference'), dockerReference}),
		v.strictObject({type: v.literal('exactRepository'), dockerRepository}),
		v.strictObject({type: v.literal('remapIdentity'), prefix, signedPrefix: prefix}),
	],
	'must be one of the identity types of containers-policy.json(5)',
);

const sigstoreSigned = v.pipe(
	v.strictObject({
		type: v.literal('sigstoreSigned'),
		keyPath: v.optional(path),
		keyPaths: v.optional(some(path)),
		keyData: v.optional(inlineKey),
		keyDatas: v.optional(some(inlineKey)),
		fulcio: unsupported('Fulcio certificates'),
		pki: unsupported('certificates'),
		rekorPublicKeyPath: unsupported('a Rekor log'),
		rekorPublicKeyPaths: unsupported('a Rekor log'),
		rekorPublicKeyData: unsupported('a Rekor log'),
		rekorPublicKeyDatas: unsupported('a Rekor log'),
		signedIdentity: v.optional(identity, {type: 'matchRepoDigestOrExact'}),
	}),
	v.check(value => KEY_FIELDS.filter(field => value[field] !== undefined).length === 1, `must have exactly one of ${KEY_FIELDS.join(', ')}`),
	v.transform(
		(value): SigstoreSigned => ({
			type: value.type,
			keyPaths: [...(value.keyPath === undefined ? [] : [value.keyPath]), ...(value.keyPaths ?? [])],
			keys: [...(value.keyData === undefined ? [] : [value.keyData]), ...(value.keyDatas ?? [])],
			identity: value.signedIdentity,
		}),
	),
);

const requirement: v.GenericSchema<unknown, Requirement> = v.variant(
	'type',
	[v.strictObject({type: v.literal('insecureAcceptAnything')}), v.strictObject({type: v.literal('reject')}), sigstoreSigned],
	({received}) => (received.startsWith('"signed') ? `GPG signatures are not supported: must be ${TYPES}` : `must be ${TYPES}`),
);
const requirements = some(requirement);
const registryScope = v.pipe(text, v.check(isRegistryScope, 'no image can match this scope: write registry host and repository in full, or "*." and a domain'));

/** Valibot takes an array for an object. */
const object = v.custom<Record<string, unknown>>(value => typeof value === 'object' && value !== null && !Array.isArray(value), 'must be an object');
const transports = v.pipe(
	object,
	v.objectWithRest({docker: v.optional(v.pipe(object, v.record(registryScope, requirements)))}, v.pipe(object, v.record(text, requirements))),
	v.transform(({docker = {}, ...others}): PolicyContent['transports'] => ({...others, docker})),
);

/** What a policy file may hold (containers-policy.json(5)); anything else is an error. */
export const POLICY: v.GenericSchema<unknown, PolicyContent> = v.pipe(object, v.strictObject({default: requirements, transports: v.optional(transports, {})}));
