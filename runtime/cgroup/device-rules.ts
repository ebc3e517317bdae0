/** One entry of the devices cgroup's list of what is allowed. */
export interface DeviceRule {
	readonly type: 'c' | 'b';
	/** null: all. */
	readonly major: number | null;
	/** null: all. */
	readonly minor: number | null;
	/** Of "r", "w", "m" (mknod). */
	readonly access: string;
}

/** What the devices cgroup lets through. `all` (privileged): everything that the parent allows. */
export type DeviceRules = 'all' | readonly DeviceRule[];

/**
 * What every container may use: any mknod, and the devices that runtime-spec config-linux.md, "Default Devices", puts into every container
 * (null zero full random urandom tty, console, ptmx, the terminals of its devpts).
 */
export const DEFAULT_DEVICE_RULES: readonly DeviceRule[] = [
	{type: 'c', major: null, minor: null, access: 'm'},
	{type: 'b', major: null, minor: null, access: 'm'},
	{type: 'c', major: 1, minor: 3, access: 'rwm'},
	{type: 'c', major: 1, minor: 5, access: 'rwm'},
	{type: 'c', major: 1, minor: 7, access: 'rwm'},
	{type: 'c', major: 1, minor: 8, access: 'rwm'},
	{type: 'c', major: 1, minor: 9, access: 'rwm'},
	{type: 'c', major: 5, minor: 0, access: 'rwm'},
	{type: 'c', major: 5, minor: 1, access: 'rwm'},
	{type: 'c', major: 5, minor: 2, access: 'rwm'},
	{type: 'c', major: 136, minor: null, access: 'rwm'},
];

/** The line that devices.allow takes (devices.rst): "c 1:3 rwm". */
export function toDeviceLine(rule: DeviceRule): string {
	return `${rule.type} ${rule.major ?? '*'}:${rule.minor ?? '*'} ${rule.access}`;
}
