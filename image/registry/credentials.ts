import {InvalidArgumentError} from '../../base/errors.js';
import type {Kernel} from '../../native/native.js';
import type {ImageOptions, RegistryAuth} from '../image.js';
import type {Reference} from '../reference.js';
import {type AuthFile, findEntry, readAuthFile} from './auth-file.js';
import {askHelper} from './credential-helper.js';
import {type Endpoint, toRegistryHost} from './endpoint.js';

export type Credential =
	| {readonly kind: 'basic'; readonly username: string; readonly password: string}
	/** An OAuth2 refresh token. */
	| {readonly kind: 'identity'; readonly token: string}
	/** Sent as it is. */
	| {readonly kind: 'bearer'; readonly token: string};

export interface CredentialParts {
	readonly options: Pick<ImageOptions, 'authFiles' | 'credentialHelperDirs' | 'proxy'>;
	readonly kernel: Pick<Kernel, 'runProgram'>;
}

/** What credentials are looked up for. */
export interface CredentialWish {
	readonly endpoint: Pick<Endpoint, 'base' | 'isMirror'>;
	readonly reference: Reference;
	/** As the caller of the pull gave them. */
	readonly auth: RegistryAuth | null;
}

/**
 * Credentials for one endpoint: the caller's when they are for it, else the first that an auth file has; null = ask anonymously.
 * A caller's without a server address are for the registry that the reference names, and for none of its mirrors.
 *
 * @throws {InvalidArgumentError} a field of `auth`, or a broken file. {FailedError | TimedOutError} a credential helper. None says a secret.
 */
export async function findCredential(parts: CredentialParts, wish: CredentialWish, signal: AbortSignal): Promise<Credential | null> {
	const {endpoint, reference, auth} = wish;
	const host = endpoint.isMirror ? toRegistryHost(endpoint.base.host) : reference.registry;
	if (auth !== null && isFor(auth, wish)) {
		const given = toCredential(auth, 'auth');
		if (given !== null) return given;
	}
	for (const path of parts.options.authFiles) {
		const file = await readAuthFile(path);
		const found = file === null ? null : await findInFile(parts, file, {host, repository: reference.repository}, signal);
		if (found !== null) return found;
	}
	return null;
}

/** The credential that the fields hold; null when they hold none. `where` names them in errors. @throws {InvalidArgumentError} */
export function toCredential(fields: Omit<RegistryAuth, 'serverAddress'>, where: string): Credential | null {
	if (fields.registryToken !== '') return {kind: 'bearer', token: assertPlain(fields.registryToken, `${where}.registry_token`)};
	if (fields.identityToken !== '') return {kind: 'identity', token: fields.identityToken};
	if (fields.username !== '') return toBasic(fields.username, fields.password, where);
	if (fields.auth === '') return null;
	const rule = new InvalidArgumentError(`${where}.auth is not base64 of "user:password"`, {field: `${where}.auth`});
	if (!/^[A-Za-z0-9+/_-]+={0,2}\s*$/.test(fields.auth)) throw rule;
	// Docker pads the text with NUL.
	const decoded = Buffer.from(fields.auth, 'base64').toString('utf8').replace(/\0+$/, '');
	const colon = decoded.indexOf(':');
	if (colon < 0) throw rule;
	return toBasic(decoded.slice(0, colon), decoded.slice(colon + 1), where);
}

/** The user name "<token>" says that the secret is a refresh token (Docker's credential helpers). */
function toBasic(username: string, password: string, where: string): Credential {
	if (username === '<token>') return {kind: 'identity', token: password};
	if (username.includes(':')) throw new InvalidArgumentError(`${where}.username holds a ":", which Basic authentication cannot carry`, {field: where});
	return {kind: 'basic', username, password};
}

function isFor({serverAddress}: RegistryAuth, {endpoint, reference}: CredentialWish): boolean {
	if (serverAddress === '') return !endpoint.isMirror;
	const host = toRegistryHost(serverAddress.replace(/^https?:\/\//i, '').replace(/\/.*$/, ''));
	return host === (endpoint.isMirror ? toRegistryHost(endpoint.base.host) : reference.registry.toLowerCase());
}

async function findInFile(
	{options, kernel}: CredentialParts,
	file: AuthFile,
	{host, repository}: {readonly host: string; readonly repository: string},
	signal: AbortSignal,
): Promise<Credential | null> {
	const serverUrl = host === 'docker.io' ? 'https://index.docker.io/v1/' : host;
	const ask = async (helper: string, server: string): Promise<Credential | null> => {
		const answer = await askHelper({kernel, dirs: options.credentialHelperDirs, proxy: options.proxy}, {helper, serverUrl: server, file: file.path}, signal);
		return answer === null ? null : toBasic(answer.username, answer.secret, `credential helper docker-credential-${helper}`);
	};
	const own = Object.entries(file.credHelpers).find(([name]) => toRegistryHost(name) === host || name === serverUrl);
	if (own !== undefined) return await ask(own[1], own[0]);
	const entry = findEntry(file, host, repository);
	const found = entry === null ? null : toCredential(entry.fields, `${file.path}: auths.${entry.key}`);
	if (found !== null) return found;
	return file.credsStore === '' ? null : await ask(file.credsStore, serverUrl);
}

/** It becomes a header. */
function assertPlain(token: string, field: string): string {
	if (!/^[\x21-\x7e]+$/.test(token)) throw new InvalidArgumentError(`${field} holds something else than printable ASCII`, {field});
	return token;
}
