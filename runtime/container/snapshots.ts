import type {Snapshot} from '../../image/image.js';
import type {Runtime} from '../runtime.js';
import {podRoot} from '../spec/user-namespace.js';
import {toFailure, type ImageMount} from '../spec/image-mounts.js';
import type {SandboxRecord} from '../sandbox/record.js';
import type {ContainerRecord} from './record.js';

/** Of the container's own root, and of each image that is mounted, by the mount's place in the config. */
export interface Snapshots {
	readonly root: Snapshot;
	readonly volumes: ReadonlyMap<number, Snapshot>;
}

const SEPARATOR = '.volume-';

/** Key of the snapshot of a mounted image. The container's own has its id. */
export function toVolumeKey(containerId: string, index: number): string {
	return `${containerId}${SEPARATOR}${index}`;
}

/** The container that a snapshot is of. */
export function toContainerId(key: string): string {
	return key.split(SEPARATOR)[0] ?? key;
}

/** They keep the images' layers until they are removed. @throws {FailedError} a mounted image, in the kubelet's word. */
export async function prepareSnapshots(
	runtime: Runtime,
	sandbox: SandboxRecord,
	{id, imageId, volumes}: {readonly id: string; readonly imageId: string; readonly volumes: readonly ImageMount[]},
): Promise<Snapshots> {
	const owner = podRoot(sandbox.userNamespace);
	const root = await runtime.images.prepareSnapshot(id, imageId, {owner, isRoot: true});
	const snapshots = new Map<number, Snapshot>();
	for (const {index, image} of volumes) {
		try {
			snapshots.set(index, await runtime.images.prepareSnapshot(toVolumeKey(id, index), image.id, {owner, isRoot: false}));
		} catch (error) {
			throw toFailure(`mounts[${index}].image`, error as Error);
		}
	}
	return {root, volumes: snapshots};
}

/** Idempotent. */
export async function removeSnapshots(runtime: Runtime, {id, mounts}: Pick<ContainerRecord, 'id' | 'mounts'>): Promise<void> {
	for (const [index, {image}] of mounts.entries()) if (image) await runtime.images.removeSnapshot(toVolumeKey(id, index));
	await runtime.images.removeSnapshot(id);
}
