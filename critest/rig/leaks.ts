import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {CriClient} from './cri-client.js';
import {run, runOk} from './command.js';
import type {Places} from './places.js';

const CGROUP_MOUNT = '/sys/fs/cgroup';

/**
 * What a daemon that should have no pods still holds: records, processes, cgroups, namespaces, mounts, links, leases, rules, writable layers.
 * The launcher itself and its cgroup stay, and so does the bridge.
 */
export async function findLeaks(places: Places, cri: CriClient | null): Promise<readonly string[]> {
	const found = await Promise.all([
		cri === null ? [] : findRecords(cri),
		findProcesses(places),
		findCgroups(places),
		listAs('pinned network namespace', places.netnsDir),
		listAs('pod directory', join(places.runDir, 'pods')),
		listAs('sandbox directory', join(places.rootDir, 'sandboxes')),
		findMounts(places),
		findLinks(places),
		findLeases(places),
		findRules(places),
		listAs('writable layer', join(places.rootDir, 'containers')),
	]);
	return found.flat();
}

async function findRecords(cri: CriClient): Promise<readonly string[]> {
	const {items} = await cri.call('ListPodSandbox', {});
	const {containers} = await cri.call('ListContainers', {});
	return [...items.map(({id}) => `record of pod sandbox ${id}`), ...containers.map(({id}) => `record of container ${id}`)];
}

/** The run's cgroup in each hierarchy that has it: v1 and v2. */
export async function listRunCgroups(places: Places): Promise<readonly string[]> {
	const hierarchies = await readdir(CGROUP_MOUNT, {withFileTypes: true});
	const roots = [CGROUP_MOUNT, ...hierarchies.filter(entry => entry.isDirectory()).map(({name}) => join(CGROUP_MOUNT, name))];
	const cgroups: string[] = [];
	for (const root of roots) {
		const top = join(root, places.cgroupRoot);
		if ((await readOrEmpty(join(top, 'cgroup.procs'))) === null) continue;
		const below = await readdir(top, {recursive: true, withFileTypes: true});
		cgroups.push(top, ...below.filter(entry => entry.isDirectory()).map(entry => join(entry.parentPath, entry.name)));
	}
	return cgroups;
}

/** Of the launcher, monitors and containers: pids by cgroup. */
export async function listRunProcesses(places: Places): Promise<ReadonlyMap<number, string>> {
	const pids = new Map<number, string>();
	for (const cgroup of await listRunCgroups(places)) {
		for (const line of ((await readOrEmpty(join(cgroup, 'cgroup.procs'))) ?? '').split('\n')) if (line !== '' && line !== '0') pids.set(Number(line), cgroup);
	}
	return pids;
}

async function findProcesses(places: Places): Promise<readonly string[]> {
	const found: string[] = [];
	let launchers = 0;
	for (const [pid, cgroup] of await listRunProcesses(places)) {
		const title = ((await readOrEmpty(`/proc/${pid}/cmdline`)) ?? '').replaceAll('\0', ' ').trim();
		const isLauncher = isLauncherCgroup(places, cgroup) && title.includes('launcher');
		if (isLauncher && ++launchers === 1) continue;
		found.push(`process ${pid} (${title}) in ${cgroup}`);
	}
	return found;
}

function isLauncherCgroup(places: Places, cgroup: string): boolean {
	return cgroup.endsWith(`${places.cgroupRoot}/launcher`);
}

async function findCgroups(places: Places): Promise<readonly string[]> {
	const cgroups = await listRunCgroups(places);
	return cgroups.filter(cgroup => !cgroup.endsWith(places.cgroupRoot) && !isLauncherCgroup(places, cgroup)).map(cgroup => `cgroup ${cgroup}`);
}

async function listAs(what: string, directory: string): Promise<readonly string[]> {
	try {
		return (await readdir(directory)).map(name => `${what} ${join(directory, name)}`);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
		throw error;
	}
}

/** Mount points of the host's mount namespace below the run's directories, deepest first. */
export async function listRunMounts(places: Places): Promise<readonly string[]> {
	const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
	const points = lines.map(line => line.split(' ')[4] ?? '');
	return points
		.filter(point => point.startsWith(`${places.baseDir}/`) || point.startsWith(`${places.volatileDir}/`))
		.sort()
		.reverse();
}

async function findMounts(places: Places): Promise<readonly string[]> {
	// The root directory may be a filesystem of the rig's own.
	return (await listRunMounts(places)).filter(point => point !== places.rootDir).map(point => `mount ${point}`);
}

async function findLinks(places: Places): Promise<readonly string[]> {
	const {exitCode, stdout} = await run(['ip', '-o', 'link', 'show', 'master', places.bridge]);
	return exitCode === 0
		? stdout
				.split('\n')
				.filter(line => line !== '')
				.map(line => `link ${line}`)
		: [];
}

async function findLeases(places: Places): Promise<readonly string[]> {
	const leases = await listAs('lease', join(places.rootDir, 'cni/addresses', places.bridge));
	return leases.filter(path => !/\/(?:lock|last_reserved_ip\.\d+)$/.test(path));
}

/** Rules that name an address of the run's subnet. */
async function findRules(places: Places): Promise<readonly string[]> {
	const rules = (await runOk(['iptables-save', '-t', 'nat'])).split('\n');
	const prefix = places.subnet.replace(/0\/24$/, '');
	return rules.filter(rule => rule.includes(` ${prefix}`) || rule.includes(`:${prefix}`) || rule.includes(`"${places.bridge}"`)).map(rule => `rule ${rule}`);
}

async function readOrEmpty(path: string): Promise<string | null> {
	try {
		return await readFile(path, 'utf8');
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code === 'ENOENT' || code === 'ESRCH' || code === 'EOPNOTSUPP') return null;
		throw error;
	}
}
