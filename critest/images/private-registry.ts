import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {startDockerRegistry, type DockerRegistry} from '../fixtures/docker-registry.js';
import {runOk} from '../rig/command.js';

/** Of the tests' registry only. */
export const USER = 'round';
export const PASSWORD = 'trip-5ecret';
/** bcrypt of PASSWORD, the only form that docker-registry takes. */
const HTPASSWD = `${USER}:$2b$05$berthroundtriptestsaleHWNs.bZIwBqeUGuvCxk8y0XbD35Frha`;

/** docker-registry with TLS and Basic auth. */
export interface PrivateRegistry extends DockerRegistry {
	/** PEM of the certificate, which is its own CA. */
	readonly ca: string;
	readonly caFile: string;
	/** As skopeo wants it: a directory with ca.crt. */
	readonly certDir: string;
}

export async function startPrivateRegistry(dir: string): Promise<PrivateRegistry> {
	const certDir = join(dir, 'certs');
	const caFile = join(certDir, 'ca.crt');
	const keyFile = join(dir, 'registry.key');
	await mkdir(certDir, {recursive: true});
	await runOk(
		['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=berth test registry'].concat([
			'-addext',
			'subjectAltName=IP:127.0.0.1,DNS:localhost',
			'-keyout',
			keyFile,
			'-out',
			caFile,
		]),
	);
	const registry = await startDockerRegistry({dir, tls: {certFile: caFile, keyFile}, htpasswd: HTPASSWD});
	return {...registry, ca: await readFile(caFile, 'utf8'), caFile, certDir};
}
