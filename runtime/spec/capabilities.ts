import {InvalidArgumentError} from '../../base/errors.js';
import type {CapabilitySets} from '../../native/native.js';
import type {ContainerConfig__Output} from '../../proto/cri.js';

/** In the order of their numbers (linux/capability.h). */
export const CAPABILITY_NAMES = [
	'CAP_CHOWN',
	'CAP_DAC_OVERRIDE',
	'CAP_DAC_READ_SEARCH',
	'CAP_FOWNER',
	'CAP_FSETID',
	'CAP_KILL',
	'CAP_SETGID',
	'CAP_SETUID',
	'CAP_SETPCAP',
	'CAP_LINUX_IMMUTABLE',
	'CAP_NET_BIND_SERVICE',
	'CAP_NET_BROADCAST',
	'CAP_NET_ADMIN',
	'CAP_NET_RAW',
	'CAP_IPC_LOCK',
	'CAP_IPC_OWNER',
	'CAP_SYS_MODULE',
	'CAP_SYS_RAWIO',
	'CAP_SYS_CHROOT',
	'CAP_SYS_PTRACE',
	'CAP_SYS_PACCT',
	'CAP_SYS_ADMIN',
	'CAP_SYS_BOOT',
	'CAP_SYS_NICE',
	'CAP_SYS_RESOURCE',
	'CAP_SYS_TIME',
	'CAP_SYS_TTY_CONFIG',
	'CAP_MKNOD',
	'CAP_LEASE',
	'CAP_AUDIT_WRITE',
	'CAP_AUDIT_CONTROL',
	'CAP_SETFCAP',
	'CAP_MAC_OVERRIDE',
	'CAP_MAC_ADMIN',
	'CAP_SYSLOG',
	'CAP_WAKE_ALARM',
	'CAP_BLOCK_SUSPEND',
	'CAP_AUDIT_READ',
	'CAP_PERFMON',
	'CAP_BPF',
	'CAP_CHECKPOINT_RESTORE',
] as const;

/** What the CRI lets a container ask for. */
export interface CapabilityWish {
	readonly privileged: boolean;
	readonly add: readonly string[];
	readonly drop: readonly string[];
	/** Added to all sets, so that a program that is not root keeps them over exec. */
	readonly addAmbient: readonly string[];
}

export function toCapabilityWish(config: ContainerConfig__Output): CapabilityWish {
	const security = config.linux?.security_context ?? null;
	const capabilities = security?.capabilities ?? null;
	return {
		privileged: security?.privileged ?? false,
		add: capabilities?.add_capabilities ?? [],
		drop: capabilities?.drop_capabilities ?? [],
		addAmbient: capabilities?.add_ambient_capabilities ?? [],
	};
}

/** @throws {InvalidArgumentError} a name that no capability has. */
export function assertCapabilities(wish: CapabilityWish): void {
	toMask('add_capabilities', wish.add, 0n);
	toMask('drop_capabilities', wish.drop, 0n);
	toMask('add_ambient_capabilities', wish.addAmbient, 0n);
}

/**
 * Capability sets of a container's process: the defaults, or all with "ALL" added or when privileged; none with "ALL" dropped; then single
 * ones added, then single ones dropped. What `available` lacks is left out: nobody can give what he has not.
 *
 * @param available bits that the daemon can give, see HostFacts.
 * @throws {InvalidArgumentError} a name that no capability has.
 * @see api.proto, Capability; capabilities(7).
 */
export function toCapabilitySets(wish: CapabilityWish, defaults: readonly string[], available: bigint): CapabilitySets {
	if (wish.privileged) return {bounding: available, effective: available, permitted: available, inheritable: 0n, ambient: 0n};
	const dropped = toMask('drop_capabilities', without(wish.drop, 'ALL'), 0n);
	let mask = hasAll(wish.add) ? available : toMask('defaultCapabilities', defaults, available);
	if (hasAll(wish.drop)) mask = hasAll(wish.add) ? available : 0n;
	mask |= toMask('add_capabilities', without(wish.add, 'ALL'), available);
	const ambient = toMask('add_ambient_capabilities', wish.addAmbient, available) & available & ~dropped;
	mask = (mask | ambient) & ~dropped & available;
	return {bounding: mask, effective: mask, permitted: mask, inheritable: ambient, ambient};
}

/** Names as "CAP_CHOWN", of the bits in `mask`. */
export function toCapabilityNames(mask: bigint): string[] {
	return CAPABILITY_NAMES.filter((_, bit) => ((mask >> BigInt(bit)) & 1n) === 1n);
}

function toMask(field: string, names: readonly string[], all: bigint): bigint {
	return names.reduce((mask, name) => mask | toBits(field, name, all), 0n);
}

function toBits(field: string, name: string, all: bigint): bigint {
	const upper = name.toUpperCase();
	if (isAll(upper)) return all;
	const bit = CAPABILITY_NAMES.indexOf((upper.startsWith('CAP_') ? upper : `CAP_${upper}`) as (typeof CAPABILITY_NAMES)[number]);
	if (bit < 0) throw new InvalidArgumentError(`${field}: no capability is named "${name}"`, {field});
	return 1n << BigInt(bit);
}

function isAll(name: string): boolean {
	return name.toUpperCase() === 'ALL' || name.toUpperCase() === 'CAP_ALL';
}

function hasAll(names: readonly string[]): boolean {
	return names.some(isAll);
}

function without(names: readonly string[], _all: 'ALL'): readonly string[] {
	return names.filter(name => !isAll(name));
}
