import {readFile} from 'node:fs/promises';

/** What this machine's kernel and the daemon's own rights allow; does not change while the daemon runs. */
export interface HostFacts {
	/** Capabilities that can be given to a container: those the daemon itself has and that are in its bounding set. */
	readonly capabilities: bigint;
	/** The kernel enforces AppArmor. */
	readonly apparmor: boolean;
	/** The kernel enforces SELinux or has it permissive. */
	readonly selinux: boolean;
}

let known: Promise<HostFacts> | null = null;

/** Read once. */
export function hostFacts(): Promise<HostFacts> {
	known ??= readHostFacts();
	return known;
}

async function readHostFacts(): Promise<HostFacts> {
	const [status, modules] = await Promise.all([readFile('/proc/self/status', 'utf8'), readOrEmpty('/sys/kernel/security/lsm')]);
	const lsms = modules.trim().split(',');
	const apparmor = lsms.includes('apparmor') || (await readOrEmpty('/sys/module/apparmor/parameters/enabled')).startsWith('Y');
	const selinux = lsms.includes('selinux') || (await readOrEmpty('/sys/fs/selinux/enforce')) !== '';
	return {capabilities: parseOwnCapabilities(status), apparmor, selinux};
}

/** Of /proc/self/status: bounding and permitted (proc(5): hexadecimal masks). A kernel shows no bits that it does not know. */
export function parseOwnCapabilities(status: string): bigint {
	const mask = (name: string): bigint => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
	return mask('CapBnd') & mask('CapPrm');
}

async function readOrEmpty(path: string): Promise<string> {
	try {
		return await readFile(path, 'utf8');
	} catch {
		// The security module or securityfs is not there.
		return '';
	}
}
