import {constants, open} from 'node:fs/promises';
import * as v from 'valibot';
import {InvalidArgumentError, PermissionDeniedError, RuntimeError} from '../../base/errors.js';
import type {ImageSource} from '../source.js';
import {toPublicKey, type PublicKey} from './public-key.js';
import {POLICY, type PolicyContent, type Requirement, type SigstoreSigned} from './requirement.js';
import {type ImageOrigin, scopesOf, toDisplay} from './scope.js';
import {Signatures, signatureTag} from './signatures.js';
import {parseStrictJson, type Path, type StrictJson} from './strict-json.js';
import {findFault} from './verify.js';

const MAX_POLICY_BYTES = 1 << 20;
const MAX_KEY_BYTES = 64 << 10;
/** Why signatures were refused, at most so many of them in a message. */
const MAX_REASONS = 4;

/** The signature policy does not allow the image, or cannot be used. PullImage has a word of its own for it. */
export class SignatureRefusedError extends PermissionDeniedError {}

export interface PolicyRequest {
	readonly origin: ImageOrigin;
	/** What was resolved and checked: the manifest or index that the reference names, and this machine's manifest. */
	readonly digests: readonly string[];
	readonly source: ImageSource;
	readonly signal: AbortSignal;
}

/** A policy as a file said it. */
export class Policy {
	readonly #file: string;
	readonly #content: PolicyContent;

	constructor(file: string, content: PolicyContent) {
		this.#file = file;
		this.#content = content;
	}

	/**
	 * All requirements of the most specific scope must hold.
	 *
	 * @throws {SignatureRefusedError} one does not, or a key file cannot be used. Whatever the source throws.
	 */
	async assertAllowed(request: PolicyRequest): Promise<void> {
		const {scope, requirements} = this.#find(request.origin);
		const refuse = (rule: string, cause?: unknown): SignatureRefusedError =>
			new SignatureRefusedError(`${toDisplay(request.origin)}: ${this.#file}: ${scope}: ${rule}`, {}, {cause});
		const found = new Signatures(request.source, new Set(request.digests), request.signal);
		for (const requirement of requirements) {
			if (requirement.type === 'reject') throw refuse('the policy rejects it');
			if (requirement.type === 'sigstoreSigned') {
				const fault = await findRefusal(requirement, request, found, refuse);
				if (fault !== null) throw refuse(fault);
			}
		}
	}

	/** @throws {InvalidArgumentError} the first key file that cannot be used. */
	async assertKeysUsable(): Promise<void> {
		const all = [this.#content.default, ...Object.values(this.#content.transports).flatMap(scopes => Object.values(scopes))].flat();
		for (const requirement of all) if (requirement.type === 'sigstoreSigned') await readKeys(requirement);
	}

	#find(origin: ImageOrigin): {readonly scope: string; readonly requirements: readonly Requirement[]} {
		const {transport} = origin;
		const scopes = new Map(Object.entries(this.#content.transports[transport] ?? {}));
		for (const scope of [...scopesOf(origin), '']) {
			const requirements = scopes.get(scope);
			if (requirements !== undefined) return {scope: `${transport} scope ${JSON.stringify(scope)}`, requirements};
		}
		return {scope: 'default', requirements: this.#content.default};
	}
}

/** @returns null when one signature satisfies the requirement, else why none does. */
async function findRefusal(
	requirement: SigstoreSigned,
	{origin, digests}: PolicyRequest,
	found: Signatures,
	refuse: (rule: string, cause: unknown) => Error,
): Promise<string | null> {
	if (origin.transport !== 'docker') return 'a signature is required, and an archive holds none';
	let keys: readonly PublicKey[];
	try {
		keys = await readKeys(requirement);
	} catch (error) {
		throw refuse((error as Error).message, error);
	}
	const reasons: string[] = [];
	for await (const signature of found) {
		const fault = 'problem' in signature ? signature.problem : await findFault(signature, {keys, identity: requirement.identity, image: origin.reference});
		if (fault === null) return null;
		reasons.push(fault);
	}
	if (reasons.length === 0) return `a signature is required, and none is there (tag ${[...new Set(digests)].map(signatureTag).join(' or ')})`;
	const more = reasons.length > MAX_REASONS ? ` (and ${reasons.length - MAX_REASONS} more)` : '';
	return `no signature is accepted: ${reasons.slice(0, MAX_REASONS).join('; ')}${more}`;
}

/** All of them: a bad one is better known before the others are gone. @throws {InvalidArgumentError} naming the file. */
async function readKeys({keyPaths, keys}: SigstoreSigned): Promise<readonly PublicKey[]> {
	const read = keyPaths.map(async path => {
		const pem = await readBounded(path, MAX_KEY_BYTES);
		try {
			return toPublicKey(pem);
		} catch (cause) {
			throw new InvalidArgumentError(`key ${path}: ${(cause as Error).message}`, {}, {cause});
		}
	});
	return [...keys, ...(await Promise.all(read))];
}

/**
 * Reads a policy file (containers-policy.json(5)).
 *
 * @throws {InvalidArgumentError} one line: file, line where known, transport, scope, key, rule. Also what the man page allows and berth does not do.
 */
export async function loadPolicy(path: string): Promise<Policy> {
	const content = await readBounded(path, MAX_POLICY_BYTES);
	let json: StrictJson;
	try {
		json = parseStrictJson(content);
	} catch (error) {
		const {message, details} = error as RuntimeError;
		throw new InvalidArgumentError(`${path}${'line' in details ? `:${details['line']}` : ''}: ${message}`, {}, {cause: error});
	}
	const result = v.safeParse(POLICY, json.value);
	if (result.success) return new Policy(path, result.output);
	const [issue] = result.issues;
	const keys: Path = (issue.path ?? []).map(({key}) => (typeof key === 'number' ? key : String(key)));
	const line = json.lineOf(keys);
	const rule = issue.type === 'strict_object' && issue.expected === 'never' ? 'unknown key' : issue.message;
	throw new InvalidArgumentError(`${path}${line === null ? '' : `:${line}`}: ${toPlace(keys)}${rule}`, {});
}

/** `transports.docker."quay.io/x"[0].keyPath: ` */
function toPlace(keys: Path): string {
	const parts = keys.map(key => (typeof key === 'number' ? `[${key}]` : /^\w[\w-]*$/.test(key) ? `.${key}` : `.${JSON.stringify(key)}`));
	return parts.length === 0 ? '' : `${parts.join('').slice(1)}: `;
}

/** A regular file: anything else could keep us waiting. @throws {InvalidArgumentError} */
async function readBounded(path: string, maxBytes: number): Promise<string> {
	try {
		await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
		const facts = await file.stat();
		if (!facts.isFile()) throw new InvalidArgumentError(`${path}: is not a regular file`);
		if (facts.size > maxBytes) throw new InvalidArgumentError(`${path}: is longer than ${maxBytes} bytes`);
		return await file.readFile('utf8');
	} catch (error) {
		if (error instanceof RuntimeError) throw error;
		throw new InvalidArgumentError(`${path}: cannot be read: ${(error as NodeJS.ErrnoException).code}`, {}, {cause: error});
	}
}
