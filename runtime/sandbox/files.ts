import {chown, mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {podRoot} from '../spec/user-namespace.js';
import type {SandboxRecord} from './record.js';

const LOCAL_HOSTS = [
	'127.0.0.1\tlocalhost',
	'::1\tlocalhost ip6-localhost ip6-loopback',
	'fe00::\tip6-localnet',
	'ff02::1\tip6-allnodes',
	'ff02::2\tip6-allrouters',
];

/** Writes hostname and resolv.conf, which do not depend on the pod's address. */
export async function writeEarlyFiles(record: SandboxRecord): Promise<void> {
	const {dir} = record.files;
	await mkdir(dir, {recursive: true, mode: 0o711});
	await Promise.all([writePodFile(record, 'hostname', `${record.hostname}\n`), resolvConf(record).then(text => writePodFile(record, 'resolv.conf', text))]);
}

/** Owned by the pod's root, whoever that is on the node. */
async function writePodFile(record: SandboxRecord, name: string, text: string): Promise<void> {
	const path = join(record.files.dir, name);
	await writeFile(path, text, {mode: 0o644});
	const root = podRoot(record.userNamespace);
	if (root !== null) await chown(path, root.uid, root.gid);
}

/** Writes hosts: the host's own for a pod on the host's network, else one that names the pod. */
export async function writeHosts(record: SandboxRecord): Promise<void> {
	const text = record.namespaces.network === 'node' ? await readFile('/etc/hosts', 'utf8') : toHosts(record.hostname, record.ips);
	await writePodFile(record, 'hosts', text);
}

/** hosts(5) of a pod. */
export function toHosts(hostname: string, ips: readonly string[]): string {
	return [...LOCAL_HOSTS, ...ips.map(ip => `${ip}\t${hostname}`), ''].join('\n');
}

/** resolv.conf(5) from the CRI's DNSConfig. */
export function toResolvConf(dns: {readonly servers: readonly string[]; readonly searches: readonly string[]; readonly options: readonly string[]}): string {
	const lines: string[] = [];
	if (dns.searches.length > 0) lines.push(`search ${dns.searches.join(' ')}`);
	for (const server of dns.servers) lines.push(`nameserver ${server}`);
	if (dns.options.length > 0) lines.push(`options ${dns.options.join(' ')}`);
	return lines.map(line => `${line}\n`).join('');
}

async function resolvConf(record: SandboxRecord): Promise<string> {
	const {dns} = record.config;
	if (dns !== null && dns.servers.length + dns.searches.length + dns.options.length > 0) return toResolvConf(dns);
	try {
		return await readFile('/etc/resolv.conf', 'utf8');
	} catch (error) {
		// A host without one has no resolver: so has the pod.
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
		throw error;
	}
}
