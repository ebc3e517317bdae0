import {randomBytes, randomInt} from 'node:crypto';
import {join} from 'node:path';
import {tmpdir} from 'node:os';

/** Everything of the machine that one run of a daemon may touch; no two runs share any of it. */
export interface Places {
	readonly run: string;
	/** On disk. */
	readonly rootDir: string;
	/** On tmpfs, short: sockets have at most 107 bytes. */
	readonly runDir: string;
	readonly netnsDir: string;
	readonly socket: string;
	readonly configFile: string;
	readonly daemonLog: string;
	/** CNI's, empty unless a test writes a config. */
	readonly confDir: string;
	/** image.registry_config_dir; not made. */
	readonly certsDir: string;
	/** Where pods' logs and volumes of a test go. */
	readonly scratchDir: string;
	readonly baseDir: string;
	readonly volatileDir: string;
	readonly cgroupRoot: string;
	readonly bridge: string;
	readonly subnet: string;
}

/** @param rootDir null: below baseDir. */
export function newPlaces(rootDir: string | null = null): Places {
	const run = randomBytes(3).toString('hex');
	const baseDir = join(tmpdir(), `berth-${run}`);
	// /run is not a tmpfs everywhere; this is.
	const volatileDir = `/dev/shm/berth-${run}`;
	return {
		run,
		baseDir,
		volatileDir,
		rootDir: rootDir ?? join(baseDir, 'root'),
		runDir: join(volatileDir, 'run'),
		netnsDir: join(volatileDir, 'netns'),
		socket: join(volatileDir, 'berth.sock'),
		configFile: join(baseDir, 'berth.toml'),
		daemonLog: join(baseDir, 'daemon.log'),
		confDir: join(baseDir, 'net.d'),
		certsDir: join(baseDir, 'certs.d'),
		scratchDir: join(baseDir, 'scratch'),
		cgroupRoot: `/berth-${run}`,
		bridge: `bt${run}`,
		subnet: `10.${randomInt(100, 200)}.${randomInt(0, 256)}.0/24`,
	};
}

export interface ConfigChoices {
	readonly hosts: readonly string[];
	/** Base URL of the registry that stands in for `hosts`. */
	readonly mirror: string;
	readonly logLevel: 'debug' | 'warn';
	/** Lines of the table [network] besides conf_dir. */
	readonly network: string;
	/** Lines of the table [image] besides registry_config_dir. */
	readonly image: string;
	/** Lines of the table [runtime], and tables below it. */
	readonly runtime: string;
	readonly identity: string;
}

export function toConfigText(places: Places, {hosts, mirror, logLevel, network, image, runtime, identity}: ConfigChoices): string {
	const quoted = (text: string): string => JSON.stringify(text);
	return `root_dir = ${quoted(places.rootDir)}
run_dir = ${quoted(places.runDir)}
socket = ${quoted(places.socket)}
netns_dir = ${quoted(places.netnsDir)}
cgroup_root = ${quoted(places.cgroupRoot)}
identity = ${quoted(identity)}
[log]
level = "${logLevel}"
format = "json"
[network]
conf_dir = ${quoted(places.confDir)}
${network}
[network.embedded]
bridge = ${quoted(places.bridge)}
subnets = [${quoted(places.subnet)}]
[image]
registry_config_dir = ${quoted(places.certsDir)}
${image}
[runtime]
${runtime}
${hosts.map(host => `[image.registries.${quoted(host)}]\nmirrors = [${quoted(mirror)}]\n`).join('')}`;
}
