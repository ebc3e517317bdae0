import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
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
	await Promise.all([
		writeFile(join(dir, 'hostname'), `${record.hostname}\n`, {mode: 0o644}),
		resolvConf(record).then(text => writeFile(join(dir, 'resolv.conf'), text, {mode: 0o644})),
	]);
}

/** Writes hosts: the host's own for a pod on the host's network, else one that names the pod. */
export async function writeHosts(record: SandboxRecord): Promise<void> {
	const text = record.namespaces.network === 'node' ? await readFile('/etc/hosts', 'utf8') : toHosts(record.hostname, record.ips);
	await writeFile(join(record.files.dir, 'hosts'), text, {mode: 0o644});
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
