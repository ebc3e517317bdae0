import {open} from 'node:fs/promises';
import * as v from 'valibot';
import {InvalidArgumentError} from '../../base/errors.js';
import type {RegistryAuth} from '../image.js';
import {toRegistryHost} from './endpoint.js';

const MAX_FILE_BYTES = 1 << 20;

/** What an auth file says. */
export interface AuthFile {
	readonly path: string;
	readonly auths: Readonly<Record<string, Omit<RegistryAuth, 'serverAddress'>>>;
	/** Name of a credential helper by host. */
	readonly credHelpers: Readonly<Record<string, string>>;
	/** Name of the helper for all hosts; '' = none. */
	readonly credsStore: string;
}

const text = v.string('must be a string');
const helper = v.pipe(text, v.regex(/^[A-Za-z0-9._-]*$/, 'must be the name of a credential helper'));
const rule = v.object(
	{
		auths: v.nullish(
			v.record(
				text,
				v.object(
					{
						auth: v.optional(text, ''),
						username: v.optional(text, ''),
						password: v.optional(text, ''),
						identitytoken: v.optional(text, ''),
						registrytoken: v.optional(text, ''),
					},
					'must be an object',
				),
				'must be an object',
			),
			{},
		),
		credHelpers: v.nullish(v.record(text, helper, 'must be an object'), {}),
		credsStore: v.optional(helper, ''),
	},
	'must be an object',
);

/**
 * Reads a file of containers-auth.json(5) or Docker's config.json, of which the other keys are passed over; null when there is none.
 *
 * @throws {InvalidArgumentError} names file and key, never a value.
 */
export async function readAuthFile(path: string): Promise<AuthFile | null> {
	const content = await readText(path);
	if (content === null) return null;
	let value: unknown;
	try {
		value = JSON.parse(content);
	} catch {
		// Not the parser's message, nor the error as cause: it quotes the file.
		throw new InvalidArgumentError(`${path}: is not JSON`, {file: path});
	}
	if (Array.isArray(value)) throw new InvalidArgumentError(`${path}: must be an object`, {file: path});
	const result = v.safeParse(rule, value);
	if (!result.success) {
		const [issue] = result.issues;
		const keys = (issue.path ?? []).map(item => String(item.key)).join('.');
		throw new InvalidArgumentError(`${path}: ${keys === '' ? '' : `${keys}: `}${issue.message}`, {file: path, key: keys});
	}
	const {auths, credHelpers, credsStore} = result.output;
	const entries = Object.entries(auths ?? {}).map(
		([key, {identitytoken, registrytoken, ...entry}]) => [key, {...entry, identityToken: identitytoken, registryToken: registrytoken}] as const,
	);
	return {path, auths: Object.fromEntries(entries), credHelpers: credHelpers ?? {}, credsStore};
}

/** The entry whose key fits best: the longest of "host/a/b/c", "host/a/b", "host/a", "host". Entries that hold nothing do not count (Docker's, beside a credsStore). */
export function findEntry(
	{auths}: AuthFile,
	host: string,
	repository: string,
): {readonly key: string; readonly fields: Omit<RegistryAuth, 'serverAddress'>} | null {
	const wanted = `${host}/${repository}`;
	const fits = Object.entries(auths)
		.map(([key, fields]) => ({key, fields, prefix: toPrefix(key)}))
		.filter(({fields, prefix}) => Object.values(fields).some(value => value !== '') && (wanted === prefix || wanted.startsWith(`${prefix}/`)));
	return fits.sort((a, b) => b.prefix.length - a.prefix.length)[0] ?? null;
}

/** "https://index.docker.io/v1/" → "docker.io"; "quay.io/team" as it is. What has a scheme is an URL of old, whose path says nothing. */
function toPrefix(key: string): string {
	const isUrl = /^https?:\/\//i.test(key);
	const [host = '', ...path] = key
		.replace(/^https?:\/\//i, '')
		.split('/')
		.filter((part, index) => index === 0 || part !== '');
	return [toRegistryHost(host), ...(isUrl || /^v[12]$/.test(path.join('/')) ? [] : path)].join('/');
}

async function readText(path: string): Promise<string | null> {
	try {
		await using file = await open(path, 'r');
		if ((await file.stat()).size > MAX_FILE_BYTES) throw new InvalidArgumentError(`${path}: is longer than ${MAX_FILE_BYTES} bytes`, {file: path});
		return await file.readFile('utf8');
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code === 'ENOENT') return null;
		if (error instanceof InvalidArgumentError) throw error;
		throw new InvalidArgumentError(`${path}: cannot be read: ${code}`, {file: path}, {cause: error});
	}
}
