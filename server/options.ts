import {fileURLToPath} from 'node:url';
import {join} from 'node:path';
import {InvalidArgumentError} from '../base/errors.js';
import type {CniOptions} from '../cni/cni.js';
import type {ImageOptions, ProxyOptions, RegistryOptions} from '../image/image.js';
import type {RuntimeOptions} from '../runtime/runtime.js';
import {toRlimit} from '../runtime/spec/rlimits.js';
import type {Config} from './config-schema.js';
import type {StreamingOptions} from './streaming/listen.js';

export const NO_PROXY: ProxyOptions = {http: null, https: null, noProxy: ''};

/** Each room's own options, from the one config. */
export function toRuntimeOptions(config: Config, bootId: string): RuntimeOptions {
	return {
		rootDir: config.root_dir,
		runDir: config.run_dir,
		netnsDir: config.netns_dir,
		cgroupRoot: config.cgroup_root,
		cgroupDriver: config.runtime.cgroup_driver,
		identity: config.identity,
		busSocketPath: '/run/dbus/system_bus_socket',
		maxLogLineBytes: config.runtime.max_log_line_bytes,
		defaultCapabilities: config.runtime.default_capabilities,
		defaultRlimits: config.runtime.default_ulimits.map(toRlimit),
		shmSizeBytes: config.runtime.shm_size_bytes,
		cdiSpecDirs: config.runtime.cdi_spec_dirs,
		apparmorProfile: config.runtime.apparmor_profile,
		seccompProfilePath: config.runtime.seccomp_profile,
		maxExecOutputBytes: config.runtime.max_exec_output_bytes,
		pidsLimit: config.runtime.pids_limit,
		bootId,
		handlers: Object.entries(config.runtime.handlers).map(([name, {type, path, options, timeout_ms}]) => ({name, type, path, options, timeoutMs: timeout_ms})),
		podMetrics: config.stats.included_pod_metrics,
	};
}

export function toImageOptions(config: Config, architecture: string, proxy: ProxyOptions = NO_PROXY): ImageOptions {
	const {image} = config;
	return {
		rootDir: config.root_dir,
		registries: Object.fromEntries(Object.entries(image.registries).map(([host, registry]) => [host, toRegistryOptions(registry)])),
		registryConfigDir: image.registry_config_dir,
		authFiles: image.auth_files,
		credentialHelperDirs: image.credential_helper_dirs,
		proxy,
		policyFile: image.policy_file === '' ? null : image.policy_file,
		maxConcurrentDownloads: image.max_concurrent_downloads,
		maxLayerBytes: image.max_layer_bytes,
		maxLayerInodes: image.max_layer_inodes,
		stallTimeoutMs: image.stall_timeout_ms,
		minDownloadBytesPerSecond: image.min_download_bytes_per_second,
		pinnedImages: image.pinned,
		keepBlobs: image.keep_blobs,
		platform: toPlatform(architecture),
	};
}

export function toCniOptions(config: Config): CniOptions {
	const {network} = config;
	const {enabled, bridge, subnets} = network.embedded;
	return {
		confDir: network.conf_dir,
		binDirs: network.bin_dirs,
		cacheDir: join(config.root_dir, 'cni'),
		timeoutMs: network.plugin_timeout_ms,
		maxConcurrent: network.max_concurrent,
		embedded: enabled ? {bridge, subnets, dataDir: join(config.root_dir, 'cni', 'addresses')} : null,
	};
}

/** @throws {InvalidArgumentError} a certificate without its key, or the other way round. */
export function toStreamingOptions({streaming}: Config): StreamingOptions {
	const {address, port, tls_cert_file: certFile, tls_key_file: keyFile, tls_client_ca_file: clientCaFile} = streaming;
	if ((certFile === '') !== (keyFile === '')) throw new InvalidArgumentError('streaming.tls_cert_file and streaming.tls_key_file: set both or neither');
	if (clientCaFile !== '' && certFile === '') throw new InvalidArgumentError('streaming.tls_client_ca_file: needs streaming.tls_cert_file');
	return {address, port, tls: certFile === '' ? null : {certFile, keyFile, clientCaFile: clientCaFile === '' ? null : clientCaFile}};
}

/** The static binary of launcher, monitor and init, as `make` leaves it: build/server/options.js → build/native/berth-launcher. */
export function launcherBinaryPath(): string {
	return fileURLToPath(new URL('../native/berth-launcher', import.meta.url));
}

function toRegistryOptions(registry: Config['image']['registries'][string]): RegistryOptions {
	return {
		mirrors: registry.mirrors,
		plainHttp: registry.plain_http,
		insecureSkipVerify: registry.insecure_skip_verify,
		caFile: registry.ca_file === '' ? null : registry.ca_file,
	};
}

/** Names of the image-spec (Go's GOARCH) for those of Node. */
function toPlatform(architecture: string): ImageOptions['platform'] {
	if (architecture === 'arm64') return {os: 'linux', architecture: 'arm64', variant: 'v8'};
	return {os: 'linux', architecture: architecture === 'x64' ? 'amd64' : architecture, variant: null};
}
