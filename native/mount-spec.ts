export type MountSpec =
	/** A new filesystem: proc, sysfs, tmpfs, devpts, mqueue. `flags` are MS_* bits. */
	| {readonly kind: 'filesystem'; readonly fstype: string; readonly target: string; readonly flags: number; readonly data: string}
	/** A host path, opened in the daemon's mount namespace and passed as a detached mount. Follows symlinks of the host path. */
	| {
			readonly kind: 'bind';
			readonly source: string;
			readonly target: string;
			readonly recursive: boolean;
			readonly readonly: boolean;
			/** Read-only of all submounts too (mount_setattr AT_RECURSIVE). */
			readonly recursiveReadOnly: boolean;
			readonly noexec: boolean;
			readonly nosuid: boolean;
			readonly nodev: boolean;
			readonly propagation: 'private' | 'slave' | 'shared';
			/** The files' ids on disk are ids of the pod's user namespace: an id-mapped mount. So are those of submounts where their filesystems can. */
			readonly idMapped: boolean;
			/** Mappings of its own, in place of `idMapped`; null: none. */
			readonly idMaps: IdMaps | null;
	  }
	/** An image, read-only: overlay directories as of RootfsSpec; `subPath` inside it, "" = all. `image` is only for errors. */
	| {
			readonly kind: 'image';
			readonly image: string;
			readonly lowerDirs: readonly string[];
			readonly upperDir: string;
			readonly workDir: string;
			readonly subPath: string;
			readonly target: string;
			readonly noexec: boolean;
			readonly nosuid: boolean;
			readonly nodev: boolean;
	  }
	/** The pod's /dev/shm. */
	| {readonly kind: 'shm'; readonly target: string}
	/** The container's own cgroup view: cgroup2, or a tmpfs with one mount per v1 hierarchy (names as on the host, and the links cpu → cpu,cpuacct where the host has them). */
	| {readonly kind: 'cgroup'; readonly target: string; readonly readonly: boolean; readonly hierarchies: readonly CgroupMountSpec[]};

/** One hierarchy as seen in a container: `name` is the directory below /sys/fs/cgroup ('' for pure v2), `options` e.g. "cpu,cpuacct" or "name=systemd"; fstype cgroup or cgroup2. */
export interface CgroupMountSpec {
	readonly name: string;
	readonly fstype: 'cgroup' | 'cgroup2';
	readonly options: string;
}

/** From ids on disk to ids on the node (mount_setattr(2), MOUNT_ATTR_IDMAP); at least one range of each. */
export interface IdMaps {
	readonly uids: readonly IdMapRange[];
	readonly gids: readonly IdMapRange[];
}
export interface IdMapRange {
	readonly inside: number;
	readonly outside: number;
	readonly count: number;
}
