import type {Logger} from '../base/log.js';
import type {Kernel} from '../native/native.js';

/** Filled by server/config.ts. */
export interface CniOptions {
	readonly confDir: string;
	/** Searched in order. */
	readonly binDirs: readonly string[];
	/** Cached results and, for the embedded default, addresses. */
	readonly cacheDir: string;
	/** A plugin that runs longer is killed. */
	readonly timeoutMs: number;
	/** Runs of plugin chains at once. */
	readonly maxConcurrent: number;
	/** Used where confDir has no config; null = then the network is not ready. */
	readonly embedded: {readonly bridge: string; readonly subnets: readonly string[]; readonly dataDir: string} | null;
}

/** What a pod asks of its network. Persisted by runtime/, so that detach works after a crash. */
export interface Attachment {
	readonly sandboxId: string;
	/** Path of the pinned network namespace. */
	readonly netnsPath: string;
	readonly podName: string;
	readonly podNamespace: string;
	readonly podUid: string;
	readonly portMappings: readonly PortMapping[];
	/** Bits per second from the kubernetes.io/{in,e}gress-bandwidth annotations; null = none. */
	readonly bandwidth: {readonly ingressRate: number | null; readonly egressRate: number | null} | null;
	readonly cgroupPath: string;
	readonly dns: {readonly servers: readonly string[]; readonly searches: readonly string[]; readonly options: readonly string[]};
}
export interface PortMapping {
	readonly protocol: 'tcp' | 'udp' | 'sctp';
	readonly containerPort: number;
	readonly hostPort: number;
	/** '' = all. */
	readonly hostIp: string;
}

export interface AttachResult {
	/** The pod's addresses on eth0, without prefix length; the first is the pod IP. */
	readonly ips: readonly string[];
}

/** Pod networking by CNI plugins. Implemented by openCni() in cni/network.ts. */
export interface Cni {
	/** From memory: the conf dir is watched. `message` names the file that is broken. */
	status(): {readonly ready: boolean; readonly reason: string; readonly message: string};
	/** ADD of the whole chain; eth0. On failure DEL is run and nothing is left. lo is up already. */
	attach(attachment: Attachment, signal: AbortSignal | null): Promise<AttachResult>;
	/** DEL of the whole chain, with the cached config and result of the ADD. Idempotent; fine when the namespace is gone. Retried by the caller when it throws. */
	detach(attachment: Attachment): Promise<void>;
	close(): Promise<void>;
}

export type OpenCni = (options: CniOptions, kernel: Kernel, log: Logger) => Promise<Cni>;
