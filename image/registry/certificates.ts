import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {createSecureContext, type SecureContext} from 'node:tls';
import {InvalidArgumentError} from '../../base/errors.js';
import type {TlsFiles} from './endpoint.js';

/** Where distributions keep the trusted CAs as one file; the first that exists counts. None: those that Node brings. */
const SYSTEM_CA_FILES = [
	'/etc/ssl/certs/ca-certificates.crt',
	'/etc/pki/tls/certs/ca-bundle.crt',
	'/etc/ssl/ca-bundle.pem',
	'/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
	'/etc/ssl/cert.pem',
];

/** What TLS connections are made with. */
export interface TlsMaterial {
	/** Differs when any of it does. */
	readonly fingerprint: string;
	readonly skipVerify: boolean;
	readonly hasClientCertificate: boolean;
	/** Parses some hundred CAs (about 10 ms): once per agent, not per connection. @throws {InvalidArgumentError} a certificate or key that is none. */
	toContext(): SecureContext;
}

/** Reads the files. `forOthers`: without the client certificate, which is for the endpoint's own host. @throws {InvalidArgumentError} names the file. */
export async function readTls(files: TlsFiles): Promise<{readonly own: TlsMaterial; readonly forOthers: TlsMaterial}> {
	const system = await readSystemCa();
	const extra = await Promise.all(files.caFiles.map(readPem));
	const pairs = await Promise.all(
		files.clientPairs.map(async ({certFile, keyFile}) => ({
			certFile,
			cert: await readPem(certFile),
			key: keyFile === null ? null : await readPem(keyFile),
		})),
	);
	// Nothing of ours to add and no file of the system's: Node's own store, which no context has to parse.
	const ca = system === null && extra.length === 0 ? null : [...(system === null ? [] : [system]), ...extra];
	const toMaterial = (client: typeof pairs): TlsMaterial => ({
		fingerprint: createHash('sha256')
			.update(JSON.stringify([ca, client, files.skipVerify]))
			.digest('hex'),
		skipVerify: files.skipVerify,
		hasClientCertificate: client.length > 0,
		toContext: () => toContext(files, ca, client),
	});
	return {own: toMaterial(pairs), forOthers: toMaterial([])};
}

interface ClientPair {
	readonly certFile: string;
	readonly cert: string;
	readonly key: string | null;
}

function toContext(files: TlsFiles, ca: readonly string[] | null, client: readonly ClientPair[]): SecureContext {
	try {
		return createSecureContext({
			...(ca === null ? {} : {ca: [...ca]}),
			...(client.length === 0 ? {} : {cert: client.map(({cert}) => cert), key: client.map(({cert, key}) => key ?? cert)}),
		});
	} catch (cause) {
		const names = [...files.caFiles, ...client.map(({certFile}) => certFile)].join(', ');
		throw new InvalidArgumentError(`${names}: cannot be used for TLS: ${(cause as NodeJS.ErrnoException).code ?? 'unknown'}`, {}, {cause});
	}
}

async function readPem(file: string): Promise<string> {
	let content: string;
	try {
		content = await readFile(file, 'utf8');
	} catch (cause) {
		throw new InvalidArgumentError(`${file}: cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {file}, {cause});
	}
	if (!content.includes('-----BEGIN ')) throw new InvalidArgumentError(`${file}: holds nothing in PEM form`, {file});
	return content;
}

async function readSystemCa(): Promise<string | null> {
	for (const file of SYSTEM_CA_FILES) {
		try {
			return await readFile(file, 'utf8');
		} catch {
			// The next distribution's name.
		}
	}
	return null;
}
