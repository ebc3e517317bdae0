import {InvalidArgumentError} from '../../base/errors.js';
import type {ResourceFacts} from '../sandbox/record.js';
import {assertCgroupPath} from './hierarchies.js';
import {isSlice} from './systemd/slices.js';

/** Who makes the cgroups of pods: berth itself, below paths that the kubelet names; or systemd, as scopes in slices that it names. */
export interface CgroupDriver {
	readonly name: 'cgroupfs' | 'systemd';
	/**
	 * Where a pod's containers have their cgroups, below each hierarchy's root.
	 *
	 * @param cgroupParent linux.cgroup_parent; '' = none.
	 * @throws {InvalidArgumentError} not of the form that this driver takes.
	 */
	toPodPath(sandboxId: string, cgroupParent: string): string;
	/** true: the pod's cgroup is nobody else's to limit. */
	isOwn(sandboxId: string, podPath: string): boolean;
	/** What the launcher's cgroup is below each hierarchy's root; null: it is put there by openLauncher. */
	readonly launcherPath: string | null;
	openLauncher(pid: number): Promise<void>;
	/** Puts the pod's keeper, which runs, where it belongs. Before the pod's first container. Idempotent. */
	openPod(pod: PodPlace): Promise<void>;
	/** After the pod's end. Idempotent: unknown is success. */
	closePod(sandboxId: string): Promise<void>;
	/** Makes limits known to whoever may write the files anew. They are in the files already. */
	updatePod(sandboxId: string, resources: ResourceFacts): Promise<void>;
	close(): void;
}

/** Where a pod's keeper goes. */
export interface PodPlace {
	readonly sandboxId: string;
	readonly podPath: string;
	/** Of the keeper. */
	readonly pid: number;
	/** The cgroup in the pod's that is for it alone, where the driver makes one. */
	readonly leaf: string;
}

/** Paths of cgroups, made by berth's monitors. @param cgroupRoot "/berth". */
export function cgroupfsDriver(cgroupRoot: string): CgroupDriver {
	const ownPath = (sandboxId: string): string => `${cgroupRoot}/pod-${sandboxId}`;
	const nothing = async (): Promise<void> => {};
	return {
		name: 'cgroupfs',
		toPodPath: (sandboxId, cgroupParent) => {
			if (cgroupParent === '') return ownPath(sandboxId);
			const field = 'linux.cgroup_parent';
			if (isSlice(cgroupParent))
				throw new InvalidArgumentError(
					`${field} "${cgroupParent}" is a systemd slice, but the cgroup driver is cgroupfs: set runtime.cgroup_driver = "systemd", or the kubelet's cgroupDriver to cgroupfs`,
					{field},
				);
			const path = cgroupParent.startsWith('/') ? cgroupParent : `/${cgroupParent}`;
			assertCgroupPath(field, path);
			return path;
		},
		isOwn: (sandboxId, podPath) => podPath === ownPath(sandboxId),
		launcherPath: `${cgroupRoot}/launcher`,
		openLauncher: nothing,
		openPod: nothing,
		closePod: nothing,
		updatePod: nothing,
		close: () => undefined,
	};
}
