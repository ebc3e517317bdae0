import {FailedError} from '../base/errors.js';

/** Linux 5.15: the oldest long-term kernel with all of mount_setattr (5.12), overlay's "volatile" (5.10), openat2 (5.6), pidfds and close_range. Anything newer is probed. */
export const LOWEST_KERNEL = {major: 5, minor: 15} as const;

/** What is known of the machine before anything is opened. */
export interface Host {
	/** process.platform. */
	readonly platform: string;
	/** uname's, "6.18.44-generic". */
	readonly kernelRelease: string;
	readonly effectiveUid: number;
}

/** @throws {FailedError} saying what is missing: this is no place for the daemon. */
export function assertHost(host: Host): void {
	if (host.platform !== 'linux') throw new FailedError(`berth runs on Linux only, this is ${host.platform}`);
	const [, major, minor] = /^(\d+)\.(\d+)/.exec(host.kernelRelease) ?? [];
	if (major === undefined || minor === undefined) throw new FailedError(`kernel release "${host.kernelRelease}" is not of the form 6.1.0`);
	const wanted = `${LOWEST_KERNEL.major}.${LOWEST_KERNEL.minor}`;
	const tooOld = Number(major) < LOWEST_KERNEL.major || (Number(major) === LOWEST_KERNEL.major && Number(minor) < LOWEST_KERNEL.minor);
	if (tooOld) throw new FailedError(`kernel ${host.kernelRelease} is too old: berth needs Linux ${wanted} or newer`);
	if (host.effectiveUid !== 0) throw new FailedError(`berth serve must run as root, runs as uid ${host.effectiveUid}`);
}
