import {readFile} from 'node:fs/promises';
import {release} from 'node:os';
import {join} from 'node:path';
import {PROJECT_DIR} from '../fixtures/images.js';
import type {Outcomes} from './report.js';

/** What the machine forces. */
export interface Machine {
	readonly apparmor: boolean;
	/** Of the runtime handler under test, as it announces itself; the default one must have them. */
	readonly userNamespaces: boolean;
	/** Id-mapped mounts of tmpfs, where the tests' daemon has its run directory (Linux 6.3). */
	readonly idMappedTmpfs: boolean;
}

const USER_NAMESPACES = / › UserNamespaces › /;
const APPARMOR = /^\[k8s\.io\] AppArmor /;
/** critest tries a mount of its own first, below the state directory that Status names. */
const ID_MAPPED = / when Host idmap mount support is needed /;
/** Registered only where SELinux is enabled, so they are not listed. */
const SELINUX = /SELinux/;

/** Names of all validation specs of critest. */
export async function readSpecNames(): Promise<readonly string[]> {
	const text = await readFile(join(PROJECT_DIR, 'critest/conformance/specs.txt'), 'utf8');
	return text.split('\n').filter(line => line !== '' && !line.startsWith('#'));
}

/** Of this kernel. */
export function hasIdMappedTmpfs(): boolean {
	const [major = 0, minor = 0] = release().split('.').map(Number);
	return major > 6 || (major === 6 && minor >= 3);
}

export async function hasAppArmor(): Promise<boolean> {
	try {
		// What critest asks itself (opencontainers/runc, apparmor: IsEnabled).
		return (await readFile('/sys/module/apparmor/parameters/enabled', 'utf8')).startsWith('Y');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
		throw error;
	}
}

/** Why a spec may skip itself on this machine; null: it may not. */
export function forcedSkip(name: string, {apparmor, userNamespaces, idMappedTmpfs}: Machine): string | null {
	if (!userNamespaces && USER_NAMESPACES.test(name)) return 'no runtime handler found which supports user namespaces';
	if (!apparmor && APPARMOR.test(name)) return 'AppArmor is disabled on this host';
	return !idMappedTmpfs && ID_MAPPED.test(name) ? 'ID mapping is not supported with path: /dev/shm/' : null;
}

/**
 * How a run differs from what it must be: every spec passes, but those that the machine forces to be skipped, for exactly that reason.
 *
 * @param names All specs; null: the run was of some only, so that none can be missing.
 * @returns A line per difference; [] = none.
 */
export function differences({passed, failed, skipped}: Outcomes, machine: Machine, names: readonly string[] | null): readonly string[] {
	const found: string[] = failed.map(({name, reason}) => `failed: ${name}: ${reason.replaceAll(/\s+/g, ' ').slice(0, 300)}`);
	for (const {name, reason} of skipped) {
		const forced = forcedSkip(name, machine);
		if (forced === null || !reason.includes(forced)) found.push(`skipped: ${name}: ${reason}`);
	}
	if (passed.length + skipped.length + failed.length === 0) found.push('no spec ran');
	if (names === null) return found;
	const seen = new Map<string, number>();
	for (const {name} of [...passed, ...failed, ...skipped]) seen.set(name, (seen.get(name) ?? 0) + 1);
	for (const name of names) if (!seen.has(name)) found.push(`did not run: ${name}`);
	const known = new Set(names);
	for (const [name, count] of seen) {
		if (!known.has(name) && !SELINUX.test(name)) found.push(`not on the list (critest/conformance/specs.txt): ${name}`);
		if (count > 1) found.push(`ran ${count} times: ${name}`);
	}
	return found;
}
