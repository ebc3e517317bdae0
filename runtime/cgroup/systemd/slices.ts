import {InvalidArgumentError} from '../../../base/errors.js';

/** systemd.unit(5): at most 255 characters, of letters, digits and ":-_.\\@". In a slice's name "-" separates levels (systemd.slice(5)). */
const SLICE = /^(?:[\w:.\\@]+(?:-[\w:.\\@]+)*)\.slice$/;
const MAX_UNIT_NAME = 255;

/** true: linux.cgroup_parent names a slice, as a kubelet with the systemd driver has it. */
export function isSlice(cgroupParent: string): boolean {
	return !cgroupParent.includes('/') && cgroupParent.endsWith('.slice');
}

/**
 * Where systemd has a slice in the cgroup tree: "a-b.slice" is "/a.slice/a-b.slice"; "-.slice" is the root.
 *
 * @throws {InvalidArgumentError} not a slice's name.
 */
export function toSlicePath(field: string, slice: string): string {
	if (slice === '-.slice') return '/';
	if (!SLICE.test(slice) || slice.length > MAX_UNIT_NAME)
		throw new InvalidArgumentError(`${field} "${slice}" is no name of a systemd slice like "kubepods-burstable.slice"`, {field});
	const parts = slice.slice(0, -'.slice'.length).split('-');
	return parts.map((_, index) => `/${parts.slice(0, index + 1).join('-')}.slice`).join('');
}

/** "/a.slice/a-b.slice/x.scope" → "a-b.slice"; "-.slice" for the root. */
export function toSliceOf(cgroupPath: string): string {
	return cgroupPath.split('/').findLast(part => part.endsWith('.slice')) ?? '-.slice';
}

/** true: the cgroup of a pod's scope. */
export function isPodScope(cgroupPath: string): boolean {
	return /\/berth-[\da-f]{64}\.scope$/.test(cgroupPath);
}

/** The scope of a pod sandbox. */
export function toScopeName(sandboxId: string): string {
	return `berth-${sandboxId}.scope`;
}
