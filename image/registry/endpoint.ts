/** What a host may be asked for: a manifest by tag, anything by digest, to take an image. */
export type Capability = 'resolve' | 'pull' | 'push';
export const ALL_CAPABILITIES: readonly Capability[] = ['pull', 'resolve', 'push'];

/** One server that answers for a registry: the registry itself, or a mirror of it. */
export interface Endpoint {
	/** Root of the API, "https://registry-1.docker.io/v2/". */
	readonly base: URL;
	/** Not the registry itself: it is told which one is meant, and gets no credentials but its own. */
	readonly isMirror: boolean;
	readonly capabilities: readonly Capability[];
	readonly tls: TlsFiles;
	/** Sent with each request to this host, and to no other. */
	readonly headers: Readonly<Record<string, readonly string[]>>;
	/** null = as long as a stall. */
	readonly dialTimeoutMs: number | null;
}
/** PEM files. */
export interface TlsFiles {
	/** Trusted besides the system's. */
	readonly caFiles: readonly string[];
	readonly clientPairs: readonly {readonly certFile: string /** null: in certFile too. */; readonly keyFile: string | null}[];
	readonly skipVerify: boolean;
}

export const NO_TLS_FILES: TlsFiles = {caFiles: [], clientPairs: [], skipVerify: false};

/** Hosts and aliases of docker.io are one. */
export function toRegistryHost(host: string): string {
	const name = host.toLowerCase();
	return ['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com'].includes(name) ? 'docker.io' : name;
}

/** "localhost", 127.0.0.0/8 and ::1, with or without port. */
export function isLoopback(host: string): boolean {
	return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]|::1)(?::\d+)?$/i.test(host);
}

/** The registry itself as it is without any configuration. */
export function toOwn(registry: string): Endpoint {
	const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
	return {base: new URL(`https://${host}/v2/`), isMirror: false, capabilities: ALL_CAPABILITIES, tls: NO_TLS_FILES, headers: {}, dialTimeoutMs: null};
}
