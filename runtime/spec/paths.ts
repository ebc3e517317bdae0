import type {ContainerConfig__Output} from '../../proto/cri.js';

/** Kernel interfaces that tell or change the host; hidden unless the config says which. The list that Kubernetes' default proc mount has. */
export const DEFAULT_MASKED_PATHS: readonly string[] = [
	'/proc/asound',
	'/proc/acpi',
	'/proc/interrupts',
	'/proc/kcore',
	'/proc/keys',
	'/proc/latency_stats',
	'/proc/timer_list',
	'/proc/timer_stats',
	'/proc/sched_debug',
	'/proc/scsi',
	'/sys/firmware',
	'/sys/devices/virtual/powercap',
];
export const DEFAULT_READONLY_PATHS: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/**
 * Where there is a security context, its lists as they are: the kubelet sends the defaults, or empty ones for an unmasked /proc. Without a
 * security context, the defaults. Privileged: nothing is covered.
 */
export function toCoveredPaths(config: ContainerConfig__Output): {readonly maskedPaths: readonly string[]; readonly readonlyPaths: readonly string[]} {
	const security = config.linux?.security_context ?? null;
	if (security === null) return {maskedPaths: DEFAULT_MASKED_PATHS, readonlyPaths: DEFAULT_READONLY_PATHS};
	if (security.privileged) return {maskedPaths: [], readonlyPaths: []};
	return {maskedPaths: security.masked_paths, readonlyPaths: security.readonly_paths};
}
