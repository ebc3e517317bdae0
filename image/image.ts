import type {Logger} from '../base/log.js';
import type {Kernel} from '../native/native.js';

/** Filled by server/config.ts. */
export interface ImageOptions {
	/** Persistent; content/, layers/, containers/ and records live below. */
	readonly rootDir: string;
	/** Per registry host ("registry.k8s.io"; "_default" for all others). */
	readonly registries: Readonly<Record<string, RegistryOptions>>;
	/** Directory of `<host>/hosts.toml` files as containerd has them, read at each pull; may be missing. */
	readonly registryConfigDir: string;
	/** containers-auth.json(5) or Docker's config.json, in order; read when a registry asks for credentials. Missing ones are passed over. */
	readonly authFiles: readonly string[];
	/** Searched in order for docker-credential-<name>. */
	readonly credentialHelperDirs: readonly string[];
	readonly proxy: ProxyOptions;
	/** Signature policy (containers-policy.json(5)); null = every image is accepted. */
	readonly policyFile: string | null;
	/** Layers fetched at once, over all pulls. */
	readonly maxConcurrentDownloads: number;
	/** A layer that unpacks to more is refused. */
	readonly maxLayerBytes: number;
	readonly maxLayerInodes: number;
	/** No byte for so long ends an attempt. */
	readonly stallTimeoutMs: number;
	/** Fewer than so many a second, over stallTimeoutMs, are a stall too; 0 = any pace will do. */
	readonly minDownloadBytesPerSecond: number;
	/** References never collected by the kubelet; shell globs. */
	readonly pinnedImages: readonly string[];
	/** Keep the compressed layers of pulled images too, for push and save without the registry. Those of loaded images are always kept. */
	readonly keepBlobs: boolean;
	/** "linux/amd64" of this machine. */
	readonly platform: {readonly os: string; readonly architecture: string; readonly variant: string | null};
}
/** HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the daemon's environment, see image/registry/proxy.ts. */
export interface ProxyOptions {
	/** For http:// URLs; null = none. May hold a password. */
	readonly http: string | null;
	/** For https:// URLs; null = none. May hold a password. */
	readonly https: string | null;
	/** Hosts without: names, ".domains", addresses and subnets, with commas between. */
	readonly noProxy: string;
}
export interface RegistryOptions {
	/** Tried in order before the host itself: base URLs, "http://127.0.0.1:5000". Plain http only where written so. */
	readonly mirrors: readonly string[];
	/** Talk plain http to the host itself. */
	readonly plainHttp: boolean;
	/** Skip TLS verification of the host. */
	readonly insecureSkipVerify: boolean;
	/** PEM file of a CA; null = system. */
	readonly caFile: string | null;
}

/** An image in the store. Immutable. */
export interface ImageRecord {
	/** sha256:… of the image config: Image.id, image_ref and image_id of the CRI. */
	readonly id: string;
	/** Normalised "docker.io/library/busybox:1.36"; sorted. */
	readonly repoTags: readonly string[];
	/** "docker.io/library/busybox@sha256:…"; sorted. */
	readonly repoDigests: readonly string[];
	/** Compressed layers and config. */
	readonly sizeBytes: number;
	readonly config: ImageConfig;
	/** Topmost last. */
	readonly layers: readonly ImageLayer[];
	readonly pinned: boolean;
	/** The OCI image config, exactly as its digest is of. */
	readonly configJson: string;
	/** This machine's manifest, exactly as its digest is of; null in records of a berth that did not keep it. */
	readonly manifest: {readonly digest: string; readonly mediaType: string; readonly json: string} | null;
}
export interface ImageLayer {
	/** Of the blob. */
	readonly digest: string;
	readonly mediaType: string;
	readonly sizeBytes: number;
	/** Of the uncompressed archive. */
	readonly diffId: string;
	readonly chainId: string;
}

/** How far a pull is. */
export interface PullProgress {
	/** As asked for, normalised. */
	readonly reference: string;
	readonly startedAtNs: bigint;
	readonly phase: 'resolving' | 'fetching' | 'syncing';
	/** Compressed. null until the manifest is known. */
	readonly totalBytes: number | null;
	readonly fetchedBytes: number;
	readonly layers: readonly {readonly digest: string; readonly sizeBytes: number; readonly fetchedBytes: number; readonly present: boolean}[];
}

/** Where an image was pushed. */
export interface PushedImage {
	readonly reference: string;
	readonly digest: string;
	/** What had to be sent; the registry had the rest. */
	readonly sentBytes: number;
}
export type ArchiveFormat = 'oci-dir' | 'oci-archive' | 'docker-archive';

/** What the OCI image config says of running (image-spec config.md). */
export interface ImageConfig {
	/** "", "user", "uid", "user:group", "uid:gid". */
	readonly user: string;
	readonly env: readonly string[];
	readonly entrypoint: readonly string[];
	readonly cmd: readonly string[];
	readonly workingDir: string;
	readonly volumes: readonly string[];
	/** "" = SIGTERM. */
	readonly stopSignal: string;
	readonly labels: Readonly<Record<string, string>>;
}

export interface RegistryAuth {
	readonly username: string;
	readonly password: string;
	/** base64 "user:password". */
	readonly auth: string;
	readonly serverAddress: string;
	readonly identityToken: string;
	readonly registryToken: string;
}

/** Counters and gauges of the store, in the words of Prometheus. */
export interface ImageMetrics {
	readonly pulls: Readonly<Record<'succeeded' | 'failed' | 'cancelled', number>>;
	readonly pulledBytes: number;
	readonly pullsInFlight: number;
	readonly repairs: number;
	readonly incompleteImages: number;
}

export interface Snapshot {
	/** Topmost first. */
	readonly lowerDirs: readonly string[];
	readonly upperDir: string;
	readonly workDir: string;
}
/** Ids on the node. */
export interface Owner {
	readonly uid: number;
	readonly gid: number;
}
/** What a snapshot is for. */
export interface SnapshotUse {
	/** Of its root directory on the node; null = as the image has it. */
	readonly owner: Owner | null;
	/** It is a container's root, which has the mount points that every container needs, also where the image has none. */
	readonly isRoot: boolean;
}
/** An optional ability of the filesystem, and why it is used or not. */
export interface SnapshotFeature {
	readonly name: string;
	readonly used: boolean;
	readonly reason: string;
}
export interface Usage {
	readonly bytes: number;
	readonly inodes: number;
}

/** What a writable layer takes on its disk. */
export interface CountedUsage extends Usage {
	/** Nanoseconds since the epoch. */
	readonly countedAtNs: bigint;
}

/** All of images and snapshots, as runtime/ and server/ see it. Implemented by openImageStore() in image-store.ts. */
export interface ImageStore {
	/** By tag, digest, or both. Joins a pull of the same reference in flight. Resolves when the image is on disk. */
	pull(reference: string, auth: RegistryAuth | null, signal: AbortSignal | null): Promise<ImageRecord>;
	/** By id (with or without "sha256:", or a unique prefix), by reference (normalised) or by repo digest; null when absent. */
	find(reference: string): ImageRecord | null;
	list(): readonly ImageRecord[];
	/** Of the pull of this reference in flight; null when there is none. */
	pullProgress(reference: string): PullProgress | null;
	/** Gives the image a further tag, taking it from the image that had it. @throws {NotFoundError} {InvalidArgumentError} the target has no tag. */
	tag(reference: string, target: string): Promise<ImageRecord>;
	/** Sends the image's manifest for this machine and its blobs to a registry; target '': where its name says. Layers that are not kept come from where the image was pulled. */
	push(reference: string, target: string, auth: RegistryAuth | null, signal: AbortSignal | null): Promise<PushedImage>;
	/** Writes images to `path`: a new directory, or a tar that appears whole. */
	save(references: readonly string[], path: string, format: ArchiveFormat, signal: AbortSignal | null): Promise<readonly ImageRecord[]>;
	/** Drops all tags of the image and what only it uses. Absent: no error. Layers in use by a snapshot stay until it goes. */
	remove(reference: string): Promise<void>;
	/** Loads every image of an OCI layout directory or archive (tar) or docker archive; returns them. */
	load(path: string): Promise<readonly ImageRecord[]>;
	/** Counted, not walked. */
	fsInfo(): {readonly imageFs: Usage & {readonly mountpoint: string}; readonly containerFs: Usage & {readonly mountpoint: string}};
	/**
	 * A writable layer on top of the image's; the key is a container id. Idempotent. The image's layers stay as long as it lives.
	 */
	prepareSnapshot(key: string, imageId: string, use: SnapshotUse): Promise<Snapshot>;
	/** Idempotent. */
	removeSnapshot(key: string): Promise<void>;
	/** The directory of a writable layer, whether it is there or not; its files are in "diff" below it. */
	snapshotDir(key: string): string;
	/** Of writable layers by key, and when each was counted; what is not known is missing. Counted, not walked. */
	snapshotUsages(keys: readonly string[]): Promise<ReadonlyMap<string, CountedUsage>>;
	/** Keys of all snapshots, for recovery to compare. */
	snapshotKeys(): readonly string[];
	/** What the snapshotter found on this machine. */
	snapshotFeatures(): readonly SnapshotFeature[];
	metrics(): ImageMetrics;
	close(): Promise<void>;
}

export type OpenImageStore = (options: ImageOptions, kernel: Kernel, log: Logger) => Promise<ImageStore>;
