import * as v from 'valibot';
import {isIP, isIPv4} from 'node:net';
import {toRlimit} from '../runtime/spec/rlimits.js';
import {METRIC_GROUPS} from '../runtime/stats/metrics/descriptors.js';

/** One key of the config file: its rule, its default, and what it means, with its unit. The only place that says any of these. */
export interface Key<T> {
	readonly rule: v.GenericSchema<unknown, T>;
	readonly default: T;
	readonly doc: string;
}
export interface Table {
	readonly [name: string]: Key<unknown> | Table;
}
/** The values that a table of keys describes. */
export type Values<T> = {readonly [K in keyof T]: T[K] extends Key<infer V> ? V : Values<T[K]>};

function key<T>(rule: v.GenericSchema<unknown, T>, byDefault: NoInfer<T>, doc: string): Key<T> {
	return {rule, default: byDefault, doc};
}

export function isKey(entry: Key<unknown> | Table): entry is Key<unknown> {
	return 'rule' in entry && 'default' in entry && typeof entry.doc === 'string';
}

const text = v.string('must be a string');
const flag = v.boolean('must be true or false');
const absolutePath = v.pipe(text, v.regex(/^\/[^\0]*$/, 'must be an absolute path'), v.regex(/^(?!.*(?:^|\/)\.\.(?:\/|$))/, 'must not contain ".."'));
const textOrPath = v.pipe(text, v.regex(/^(?:\/[^\0]*)?$/, 'must be an absolute path or ""'));
const texts = v.array(text, 'must be an array of strings');
const absolutePaths = v.array(absolutePath, 'must be an array of absolute paths');

function integer(min: number, max: number): v.GenericSchema<unknown, number> {
	const rule = `must be a whole number from ${min} to ${max}`;
	return v.pipe(v.number(rule), v.integer(rule), v.minValue(min, rule), v.maxValue(max, rule));
}

function oneOf<const T extends string>(...choices: readonly T[]): v.GenericSchema<unknown, T> {
	return v.picklist(choices, `must be one of ${choices.map(choice => `"${choice}"`).join(', ')}`);
}

function isSubnet(value: string): boolean {
	const [address = '', bits = '', ...rest] = value.split('/');
	return rest.length === 0 && isIPv4(address) && /^\d{1,2}$/.test(bits) && Number(bits) >= 8 && Number(bits) <= 30;
}
function isUlimit(value: string): boolean {
	try {
		toRlimit(value);
		return true;
	} catch {
		return false;
	}
}
const subnet = v.pipe(text, v.check(isSubnet, 'must be an IPv4 subnet with a prefix of 8 to 30 bits, such as "10.88.0.0/16"'));
const mirrorUrl = v.pipe(
	text,
	v.regex(/^https?:\/\/[^\s/@?#]+(?:\/[^\s?#@]*)?$/, 'must be a base URL such as "https://mirror.example:5000" without user, query or fragment'),
);
const capability = v.pipe(text, v.regex(/^CAP_[A-Z_]+$/, 'must be the name of a capability such as "CAP_CHOWN"'));
const ulimit = v.pipe(text, v.check(isUlimit, 'must be a limit such as "nofile=1024:4096", "core=0" or "memlock=unlimited"'));
const registryHost = v.pipe(
	text,
	v.regex(
		/^(?:_default|[A-Za-z0-9.-]+(?::\d{1,5})?|\[[0-9a-fA-F:]+\](?::\d{1,5})?)$/,
		'must be a registry host such as "registry.k8s.io" or "localhost:5000", or "_default"',
	),
);

const registry = v.strictObject(
	{
		mirrors: v.optional(v.array(mirrorUrl, 'must be an array of base URLs'), []),
		plain_http: v.optional(flag, false),
		insecure_skip_verify: v.optional(flag, false),
		ca_file: v.optional(textOrPath, ''),
	},
	'must be a table',
);
const registries = v.record(registryHost, registry, 'must be a table of registry hosts');
const noRegistries: v.InferOutput<typeof registries> = {};

/** A RuntimeClass's handler is a DNS label. */
const handlerName = v.pipe(text, v.regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a name of lower case letters, digits and "-", at most 63'));
const handler = v.pipe(
	v.strictObject(
		{
			type: oneOf('native', 'oci', 'shim-v2'),
			path: v.optional(textOrPath, ''),
			options: v.optional(texts, []),
			timeout_ms: v.optional(integer(100, 600_000), 60_000),
		},
		'must be a table',
	),
	v.check(({type, path}) => (type === 'native') === (path === ''), 'must have a path, except with type "native", which has none'),
);
const handlers = v.record(handlerName, handler, 'must be a table of runtime handlers');
const noHandlers: v.InferOutput<typeof handlers> = {};

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** containerd's defaults for an unprivileged container. */
const DEFAULT_CAPABILITIES = [
	'CAP_CHOWN',
	'CAP_DAC_OVERRIDE',
	'CAP_FSETID',
	'CAP_FOWNER',
	'CAP_MKNOD',
	'CAP_NET_RAW',
	'CAP_SETGID',
	'CAP_SETUID',
	'CAP_SETFCAP',
	'CAP_SETPCAP',
	'CAP_NET_BIND_SERVICE',
	'CAP_SYS_CHROOT',
	'CAP_KILL',
	'CAP_AUDIT_WRITE',
];

/** Every key that berth.toml may hold. */
export const KEYS = {
	root_dir: key(absolutePath, '/var/lib/berth', 'Persistent state: images, writable layers, the journal. One daemon per directory.'),
	run_dir: key(absolutePath, '/run/berth', 'Volatile state, on a tmpfs: sockets of launcher and monitors, exit records.'),
	socket: key(absolutePath, '/run/berth/berth.sock', 'The CRI socket; at most 107 bytes. Mode 0660.'),
	identity: key(
		oneOf('berth', 'cri-o'),
		'berth',
		'"cri-o": cAdvisor in the kubelet takes the daemon for CRI-O, so that /metrics/cadvisor has the labels and network of pods: the socket, which must be /var/run/crio/crio.sock then, also answers GET /info and GET /containers/<id>, and cgroups of containers are named crio-<id>. What runs keeps its names.',
	),
	netns_dir: key(absolutePath, '/run/netns', 'Where the network namespaces of pods are pinned, for CNI plugins and `ip netns`.'),
	cgroup_root: key(
		v.pipe(absolutePath, v.regex(/[^/]$/, 'must not end with "/"')),
		'/berth',
		"Cgroup, below each hierarchy's root, of launcher and monitors, and of pods without a cgroup_parent.",
	),
	log: {
		level: key(oneOf('debug', 'info', 'warn', 'error'), 'info', 'debug shows each call that only reads.'),
		format: key(oneOf('auto', 'json', 'human'), 'auto', 'auto: human on a terminal, else JSON, one object a line.'),
	},
	image: {
		registries: key(
			registries,
			noRegistries,
			'A table per registry host ("_default": all others): mirrors (base URLs, tried in order before the host), plain_http, insecure_skip_verify, ca_file (PEM).\n[image.registries."registry.k8s.io"]\nmirrors = ["https://mirror.example:5000"]',
		),
		registry_config_dir: key(
			absolutePath,
			'/etc/berth/certs.d',
			"Directory of <host>/hosts.toml files as containerd has them; may be missing. A host's table in image.registries wins over its file.",
		),
		auth_files: key(
			absolutePaths,
			[],
			"Files with credentials (containers auth.json, Docker's config.json) for pulls that bring none; a missing file is passed over.",
		),
		credential_helper_dirs: key(absolutePaths, ['/usr/local/bin', '/usr/bin'], 'Searched in order for the docker-credential-* programs that auth_files name.'),
		pinned: key(texts, [], 'References that the kubelet must never collect; shell globs.'),
		keep_blobs: key(
			flag,
			false,
			'Keep the compressed layers of pulled images too (about half as much disk again), so that push and save need no registry. Those of loaded images are always kept.',
		),
		policy_file: key(
			textOrPath,
			'',
			'Signature policy in the format of containers-policy.json(5), read anew for each pull; "" = every image is accepted. While it cannot be used, pulls are refused.',
		),
		max_concurrent_downloads: key(integer(1, 64), 4, 'Layers fetched at once, over all pulls.'),
		max_layer_bytes: key(integer(MIB, 1024 * GIB), 64 * GIB, 'A layer that unpacks to more bytes is refused.'),
		max_layer_inodes: key(integer(1000, 100_000_000), 10_000_000, 'A layer with more files is refused.'),
		stall_timeout_ms: key(integer(1000, 600_000), 30_000, 'Milliseconds without a byte from the registry after which a download is tried anew.'),
		min_download_bytes_per_second: key(integer(0, 1024 * MIB), 1024, 'A download slower than this over stall_timeout_ms is tried anew; 0 = never.'),
	},
	network: {
		conf_dir: key(absolutePath, '/etc/cni/net.d', 'CNI network configurations; the first by name is used.'),
		bin_dirs: key(
			v.pipe(v.array(absolutePath, 'must be an array of absolute paths'), v.minLength(1, 'must name at least one directory')),
			['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni'],
			'Searched in order for CNI plugins.',
		),
		plugin_timeout_ms: key(integer(100, 600_000), 60_000, 'Milliseconds after which a plugin is killed.'),
		max_concurrent: key(integer(1, 64), 4, 'Chains of plugins that run at once.'),
		embedded: {
			enabled: key(flag, true, 'Use a bridge network of our own when conf_dir holds no configuration.'),
			bridge: key(v.pipe(text, v.regex(/^[A-Za-z0-9_.-]{1,15}$/, 'must be an interface name of 1 to 15 characters')), 'berth0', 'Its bridge.'),
			subnets: key(v.pipe(v.array(subnet, 'must be an array of subnets'), v.minLength(1, 'must name at least one subnet')), ['10.88.0.0/16'], 'Pod addresses.'),
		},
	},
	streaming: {
		address: key(
			v.pipe(
				text,
				v.check(value => isIP(value) !== 0, 'must be an IP address'),
			),
			'127.0.0.1',
			'Where exec, attach and port-forward are served; the kubelet connects to it. Whoever has a URL, which is good once, may use it.',
		),
		port: key(integer(0, 65_535), 0, '0 = any free one.'),
		tls_cert_file: key(textOrPath, '', 'PEM certificate, with its chain, to serve them over TLS; "" = plain HTTP. Read anew when it changes.'),
		tls_key_file: key(textOrPath, '', 'PEM key of tls_cert_file.'),
		tls_client_ca_file: key(textOrPath, '', 'PEM authorities: only clients with a certificate of theirs are served; "" = clients need none.'),
	},
	metrics: {
		address: key(
			v.pipe(
				text,
				v.regex(
					/^(?:|unix:\/[^\0]+|(?:127(?:\.\d{1,3}){3}|\[::1\]):\d{1,5})$/,
					'must be an address of loopback such as "127.0.0.1:9180", "unix:" and an absolute path, or ""',
				),
			),
			'',
			'Where Prometheus finds /metrics: "127.0.0.1:9180", "unix:/run/berth/metrics.sock"; "" = nowhere.',
		),
	},
	stats: {
		included_pod_metrics: key(
			v.array(oneOf(...METRIC_GROUPS), `must be an array of ${METRIC_GROUPS.map(group => `"${group}"`).join(', ')}`),
			[...METRIC_GROUPS],
			"Groups of metrics that pods and containers have in ListPodSandboxMetrics, the kubelet's /metrics/cadvisor.",
		),
	},
	runtime: {
		default_capabilities: key(
			v.array(capability, 'must be an array of capabilities'),
			DEFAULT_CAPABILITIES,
			'What an unprivileged container gets when it asks for nothing.',
		),
		default_ulimits: key(
			v.array(ulimit, 'must be an array of limits'),
			[],
			'Limits of every container and exec, "name=soft:hard" as in setrlimit(2): "nofile=1024:4096", "core=0", "memlock=unlimited". Others are the daemon\'s own.',
		),
		shm_size_bytes: key(integer(4096, 1024 * GIB), 64 * MIB, "Size of a pod's /dev/shm without an annotation berth.io/shm-size."),
		cdi_spec_dirs: key(
			absolutePaths,
			['/etc/cdi', '/var/run/cdi'],
			'Directories of CDI specifications (*.json, *.yaml), read at each CreateContainer that asks for CDI devices; the later wins.',
		),
		apparmor_profile: key(
			v.pipe(text, v.regex(/^[\w./-]*$/, 'must be the name of a profile')),
			'',
			'AppArmor profile of RuntimeDefault and of containers that name none, loaded by the node; "" = the latter are unconfined and the former refused. Only where the kernel has AppArmor.',
		),
		seccomp_profile: key(textOrPath, '', 'JSON file of the RuntimeDefault profile; "" = the built-in one.'),
		max_log_line_bytes: key(integer(256, MIB), 16_384, 'A longer line of a container is logged in parts (tag P).'),
		max_exec_output_bytes: key(integer(4096, 16 * MIB), 16 * MIB, 'ExecSync drops what a stream holds beyond this.'),
		handlers: key(
			handlers,
			noHandlers,
			'A table per further runtime handler, by the name that runtime_handler (a RuntimeClass\'s handler) gives it: type ("native"; "oci": runc, crun; "shim-v2": kata and others with a shim of the protocol of containerd), path of the binary, options (oci: put before its command; shim-v2: config_path=…, or binary_name=… and root=… of its shim for runc), timeout_ms (a call of the binary is killed then; 60000). The default "" is native.\n[runtime.handlers.runc]\ntype = "oci"\npath = "/usr/sbin/runc"',
		),
		cgroup_driver: key(
			oneOf('cgroupfs', 'systemd'),
			'cgroupfs',
			'Who makes the cgroups of pods; the kubelet is told. systemd: scopes in slices, with cgroup v2 alone and systemd as process 1. Pods that there are keep theirs.',
		),
		pids_limit: key(
			integer(0, 4_194_304),
			0,
			'Processes and threads of a container that has no berth.io/pids-limit annotation; 0 = no limit but that of its pod.',
		),
		launcher_oom_score_adj: key(integer(-1000, 1000), -999, 'Of launcher and monitors; clamped to what the machine allows.'),
	},
} as const satisfies Table;

export type Config = Values<typeof KEYS>;
