import type {CountedUsage, Snapshot, SnapshotFeature, SnapshotUse, Usage} from '../image.js';

/** What a filesystem driver does: gives containers a root over an image's layers. Overlay is the first; one for btrfs or erofs would fill the same. */
export interface Snapshotter {
	/** A writable layer on top of the layers (lowest first). Idempotent by key. The layers stay as long as it lives. Undoes itself on failure. */
	prepare(key: string, chainIds: readonly string[], use: SnapshotUse): Promise<Snapshot>;
	/** Idempotent. @returns the layers that it kept, for collection. */
	remove(key: string): Promise<readonly string[]>;
	/** Where it is, or would be. */
	dirOf(key: string): string;
	keys(): readonly string[];
	/** Of writable layers by key, as last counted, and when that was; what is not known is missing. No work that grows with what is in them. */
	usages(keys: readonly string[]): Promise<ReadonlyMap<string, CountedUsage>>;
	/** Of all writable layers as last counted: no work that grows with what is in them. */
	totalUsage(): Usage;
	features(): readonly SnapshotFeature[];
	close(): Promise<void>;
}
