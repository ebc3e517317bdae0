import {readdir, readFile} from 'node:fs/promises';
import {isAbsolute, join} from 'node:path';
import {parse, TomlError} from 'smol-toml';
import * as v from 'valibot';
import {InvalidArgumentError} from '../../base/errors.js';
import {ALL_CAPABILITIES, type Capability, type Endpoint, NO_TLS_FILES, type TlsFiles, toRegistryHost} from './endpoint.js';

const MAX_FILE_BYTES = 1 << 20;
const MS_PER_UNIT: Readonly<Record<string, number>> = {ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000};

const text = v.string('must be a string');
const path = v.pipe(text, v.regex(/^[^\0]+$/, 'must be a path'));
const paths = v.array(path, 'must be a path or an array of paths');
const keyPair = v.strictTuple([path, v.string('must be a path or ""')], 'must be a pair of a certificate and a key');
const header = v.pipe(text, v.regex(/^[\t\x20-\x7e]*$/, 'must be printable ASCII'));
const duration = v.pipe(text, v.regex(/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/, 'must be a duration such as "1s" or "500ms"'));
const url = v.pipe(
	text,
	v.check(value => toUrl(value) !== null, 'must be a host or an http(s):// URL without user, query or fragment'),
);

const host = {
	capabilities: v.optional(
		v.array(v.picklist(['pull', 'resolve', 'push', 'referrers'], 'must be "pull", "resolve", "push" or "referrers"'), 'must be an array of capabilities'),
		[],
	),
	ca: v.optional(v.union([path, paths], 'must be a path or an array of paths')),
	client: v.optional(
		v.union([path, v.array(v.union([path, keyPair], 'must be a path or a pair of paths'))], 'must be a path, or an array of paths or pairs of paths'),
	),
	skip_verify: v.optional(v.boolean('must be true or false'), false),
	header: v.optional(
		v.record(
			v.pipe(text, v.regex(/^[\w!#$%&'*+.^`|~-]+$/, 'must be the name of a header')),
			v.union([header, v.array(header)], 'must be a string or an array of strings'),
			'must be a table of headers',
		),
		{},
	),
	override_path: v.optional(v.boolean('must be true or false'), false),
	dial_timeout: v.optional(duration),
};
const hostRule = v.strictObject(host, 'must be a table');
const fileRule = v.strictObject({...host, server: v.optional(url), host: v.optional(v.record(url, hostRule, 'must be a table of URLs'), {})});
type HostTable = v.InferOutput<typeof hostRule>;

/**
 * Endpoints that a directory of containerd's layout gives (its docs/hosts.md): `hosts.toml`, or only the certificates of Docker's layout
 * (*.crt, *.cert with *.key). null when there is no such directory.
 *
 * @param own The registry itself, for a file that names no server.
 * @throws {InvalidArgumentError} names file and key.
 */
export async function readHostsDir(dir: string, own: Endpoint): Promise<readonly Endpoint[] | null> {
	let names: readonly string[];
	try {
		names = await readdir(dir);
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code === 'ENOENT' || code === 'ENOTDIR') return null;
		throw new InvalidArgumentError(`${dir}: cannot be read: ${code}`, {file: dir}, {cause: error});
	}
	if (!names.includes('hosts.toml')) return [{...own, tls: toCertificateFiles(dir, names)}];
	const file = join(dir, 'hosts.toml');
	const {server, host: hosts, ...root} = parseHosts(file, await readText(file));
	const mirrors = Object.entries(hosts).map(([address, table]) => {
		const base = toBase(address, table);
		return {...toEndpoint(dir, own, table), base, isMirror: toRegistryHost(base.host) !== toRegistryHost(own.base.host)};
	});
	const last = toEndpoint(dir, own, root);
	// A server of another name is where the operator says that the registry is: no mirror.
	return [...mirrors, server === undefined ? {...last, capabilities: ALL_CAPABILITIES} : {...last, base: toBase(server, root)}];
}

function parseHosts(file: string, content: string): v.InferOutput<typeof fileRule> {
	let tree: unknown;
	try {
		tree = parse(content);
	} catch (error) {
		if (!(error instanceof TomlError)) throw error;
		throw new InvalidArgumentError(`${file}:${error.line}: ${error.message.split('\n', 1)[0]}`, {file, line: error.line}, {cause: error});
	}
	const result = v.safeParse(fileRule, tree);
	if (result.success) return result.output;
	const [issue] = result.issues;
	const keys = (issue.path ?? []).map(item => String(item.key)).join('.');
	const rule = issue.type === 'strict_object' && issue.expected === 'never' ? 'unknown key' : issue.message;
	// Not the value: a header may be a password.
	throw new InvalidArgumentError(`${file}: ${keys}: ${rule}`, {file, key: keys});
}

function toEndpoint(dir: string, own: Endpoint, table: HostTable): Endpoint {
	const absolute = (file: string): string => (isAbsolute(file) ? file : join(dir, file));
	const capabilities = table.capabilities.filter((name): name is Capability => name !== 'referrers');
	const client = typeof table.client === 'string' ? [table.client] : (table.client ?? []);
	const tls: TlsFiles = {
		caFiles: (typeof table.ca === 'string' ? [table.ca] : (table.ca ?? [])).map(absolute),
		clientPairs: client.map(entry => {
			const [certFile, keyFile] = typeof entry === 'string' ? [entry, ''] : entry;
			return {certFile: absolute(certFile), keyFile: keyFile === '' ? null : absolute(keyFile)};
		}),
		skipVerify: table.skip_verify,
	};
	return {
		...own,
		capabilities: table.capabilities.length === 0 ? ALL_CAPABILITIES : capabilities,
		tls,
		headers: Object.fromEntries(Object.entries(table.header).map(([name, value]) => [name.toLowerCase(), typeof value === 'string' ? [value] : value])),
		dialTimeoutMs: table.dial_timeout === undefined ? null : toMs(table.dial_timeout),
	};
}

function toUrl(address: string): URL | null {
	const parsed = URL.parse(address.includes('://') ? address : `https://${address}`);
	if (parsed === null || !['https:', 'http:'].includes(parsed.protocol) || parsed.hostname === '') return null;
	if (parsed.username !== '' || parsed.password !== '' || parsed.search !== '' || parsed.hash !== '') return null;
	return parsed;
}

function toBase(address: string, {override_path: overridePath}: HostTable): URL {
	const base = toUrl(address) ?? new URL(address);
	if (base.hostname === 'docker.io') base.hostname = 'registry-1.docker.io';
	const trimmed = base.pathname.replace(/\/+$/, '');
	base.pathname = overridePath || trimmed.endsWith('/v2') ? `${trimmed}/` : `${trimmed}/v2/`;
	return base;
}

function toMs(text: string): number {
	const parts = [...text.matchAll(/(\d+(?:\.\d+)?)([a-zµ]+)/g)];
	// 0 means no limit to undici; in the file it means "at once", which nothing can do.
	return Math.max(1, Math.ceil(parts.reduce((sum, [, count, unit]) => sum + Number(count) * (MS_PER_UNIT[unit ?? ''] ?? 0), 0)));
}

function toCertificateFiles(dir: string, names: readonly string[]): TlsFiles {
	const of = (suffix: string): readonly string[] => names.filter(name => name.endsWith(suffix)).sort();
	return {
		...NO_TLS_FILES,
		caFiles: of('.crt').map(name => join(dir, name)),
		clientPairs: of('.cert').map(name => {
			const key = name.replace(/\.cert$/, '.key');
			return {certFile: join(dir, name), keyFile: names.includes(key) ? join(dir, key) : null};
		}),
	};
}

async function readText(file: string): Promise<string> {
	let content: string;
	try {
		content = await readFile(file, 'utf8');
	} catch (error) {
		throw new InvalidArgumentError(`${file}: cannot be read: ${(error as NodeJS.ErrnoException).code}`, {file}, {cause: error});
	}
	if (content.length > MAX_FILE_BYTES) throw new InvalidArgumentError(`${file}: is longer than ${MAX_FILE_BYTES} bytes`, {file});
	return content;
}
