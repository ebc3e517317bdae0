import {createHash} from 'node:crypto';
import {mkdir, open, readFile} from 'node:fs/promises';
import {release} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {writeFileAtomic} from '../../base/atomic-file.js';
import {CorruptError, InvalidArgumentError, UnavailableError} from '../../base/errors.js';
import type {Kernel, SeccompProfile} from '../../native/native.js';
import {toCapabilityNames} from './capabilities.js';
import {chooseRules, parseProfile, type ProfileFile} from './seccomp-profile.js';
import type {ProfileChoice} from './security-profile.js';

/** build/runtime/spec/seccomp.js → build/seccomp.json, put there by the build. */
const BUILT_IN_PROFILE = fileURLToPath(new URL('../../seccomp.json', import.meta.url));
/** Programs are some kilobytes; a node has a handful of (profile, capabilities). */
const MAX_PROGRAMS = 128;
/** A profile names at most all syscalls a few times over. */
const MAX_PROFILE_BYTES = 1 << 20;

/** A compiled filter. The key is of the program itself: "sha256:…". */
export interface SeccompProgram {
	readonly key: string;
	readonly program: Uint8Array;
	/** What it was compiled from. */
	readonly rules: SeccompProfile;
}

/**
 * Compiles a profile once for each set of rules that it comes to (libseccomp takes 8 to 15 ms), also when many ask at the same time.
 * Programs are kept in files too, by their own digest: an exec after the daemon's restart finds the very program that its container runs under.
 */
export class SeccompCache {
	readonly #kernel: Pick<Kernel, 'compileSeccomp'>;
	readonly #defaultProfilePath: string;
	readonly #programsDir: string | null;
	readonly #byRules = new Map<string, Promise<SeccompProgram>>();
	readonly #byKey = new Map<string, Uint8Array>();
	#defaultProfile: Promise<ProfileFile> | null = null;

	/**
	 * @param defaultProfilePath '' = the built-in one.
	 * @param programsDir null: programs are kept in memory only.
	 */
	constructor(kernel: Pick<Kernel, 'compileSeccomp'>, defaultProfilePath: string, programsDir: string | null = null) {
		this.#kernel = kernel;
		this.#defaultProfilePath = defaultProfilePath === '' ? BUILT_IN_PROFILE : defaultProfilePath;
		this.#programsDir = programsDir;
	}

	/**
	 * The program for one container; null for unconfined.
	 *
	 * @param bounding the container's bounding set: profiles allow more to who may more.
	 * @throws {InvalidArgumentError | UnimplementedError} naming the file; what writing the program's file throws.
	 */
	async choose(choice: ProfileChoice, bounding: bigint): Promise<SeccompProgram | null> {
		if (choice.kind === 'unconfined') return null;
		const file = choice.kind === 'default' ? await this.#default() : parseProfile(choice.ref, await readProfile(choice.ref));
		const rules = chooseRules(file, {capabilities: toCapabilityNames(bounding), arch: process.arch, kernelRelease: release()});
		return await this.#compileOnce(rules);
	}

	/**
	 * By the key that `choose` gave, also to an earlier daemon.
	 *
	 * @throws {UnavailableError} nobody has it any more: never run without. {CorruptError} the file is not what it was.
	 */
	async program(key: string): Promise<Uint8Array> {
		const known = this.#byKey.get(key);
		if (known !== undefined) return known;
		const path = this.#path(key);
		let program: Uint8Array;
		try {
			if (path === null) throw new Error('programs are not kept');
			program = await readFile(path);
		} catch (cause) {
			throw new UnavailableError(`seccomp program ${key} is lost: ${(cause as Error).message}`, {key}, {cause});
		}
		if (toKey(program) !== key) throw new CorruptError(`seccomp program ${path ?? ''} does not have the digest that it is named by`, {key});
		this.#remember(key, program);
		return program;
	}

	async #default(): Promise<ProfileFile> {
		const path = this.#defaultProfilePath;
		this.#defaultProfile ??= readProfile(path).then(text => parseProfile(path, text));
		try {
			return await this.#defaultProfile;
		} catch (error) {
			// The file may be put right.
			this.#defaultProfile = null;
			throw error;
		}
	}

	async #compileOnce(rules: SeccompProfile): Promise<SeccompProgram> {
		const digest = createHash('sha256').update(toText(rules)).digest('hex');
		const inFlight = this.#byRules.get(digest);
		if (inFlight !== undefined) return await inFlight;
		const compiled = this.#compile(rules);
		this.#byRules.set(digest, compiled);
		dropOldest(this.#byRules);
		try {
			return await compiled;
		} catch (error) {
			this.#byRules.delete(digest);
			throw error;
		}
	}

	async #compile(rules: SeccompProfile): Promise<SeccompProgram> {
		const program = await this.#kernel.compileSeccomp(rules);
		const key = toKey(program);
		const path = this.#path(key);
		if (path !== null) {
			await mkdir(this.#programsDir as string, {recursive: true, mode: 0o700});
			await writeFileAtomic(path, program);
		}
		this.#remember(key, program);
		return {key, program, rules};
	}

	#remember(key: string, program: Uint8Array): void {
		this.#byKey.set(key, program);
		dropOldest(this.#byKey);
	}

	#path(key: string): string | null {
		if (!/^sha256:[0-9a-f]{64}$/.test(key)) throw new CorruptError(`seccomp key "${key}" is malformed`, {key});
		return this.#programsDir === null ? null : join(this.#programsDir, `${key.slice('sha256:'.length)}.bpf`);
	}
}

function toKey(program: Uint8Array): string {
	return `sha256:${createHash('sha256').update(program).digest('hex')}`;
}

/** JSON has no bigint. */
function toText(rules: SeccompProfile): string {
	return JSON.stringify([process.arch, rules], (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

function dropOldest(map: Map<string, unknown>): void {
	const [oldest] = map.keys();
	if (map.size > MAX_PROGRAMS && oldest !== undefined) map.delete(oldest);
}

async function readProfile(path: string): Promise<string> {
	try {
		await using file = await open(path, 'r');
		const {size} = await file.stat();
		if (size > MAX_PROFILE_BYTES) throw new Error(`longer than ${MAX_PROFILE_BYTES} bytes`);
		return await file.readFile('utf8');
	} catch (cause) {
		throw new InvalidArgumentError(`seccomp profile ${path} cannot be read: ${(cause as Error).message}`, {path}, {cause});
	}
}
