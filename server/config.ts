import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {parse, TomlError} from 'smol-toml';
import * as v from 'valibot';
import {InvalidArgumentError} from '../base/errors.js';
import {isKey, KEYS, type Config, type Table} from './config-schema.js';

export const DEFAULT_CONFIG_PATH = '/etc/berth/berth.toml';

/** Values of flags by the key they stand for: the last word. */
export interface ConfigFlags {
	readonly root_dir?: string | undefined;
	readonly run_dir?: string | undefined;
	readonly socket?: string | undefined;
	readonly log_level?: string | undefined;
}

export interface LoadedConfig {
	readonly config: Config;
	/** In the order in which they were read: later ones win. */
	readonly files: readonly string[];
}

/**
 * Defaults, then the config file, then the files of its drop-in folder (`berth.toml.d/*.toml`, by name), then flags.
 * Tables are merged key by key; any other value replaces the earlier one.
 *
 * @param path null = the default one, which may be missing.
 * @throws {InvalidArgumentError} one line: file, line where known, key, rule.
 */
export async function loadConfig(path: string | null, flags: ConfigFlags): Promise<LoadedConfig> {
	const files: string[] = [];
	let merged: Tree = {};
	for (const file of await configFiles(path)) {
		const content = await readConfigFile(file, path !== null);
		if (content === null) continue;
		files.push(file);
		merged = merge(merged, content);
	}
	const {log_level: level, ...roots} = flags;
	const flagged = {...withoutUndefined(roots), ...(level === undefined ? {} : {log: {level}})};
	checkTree(flagged, (keys, rule) => new InvalidArgumentError(`flag --${flagName(keys)}: ${rule}`));
	return {config: toConfig(merge(merged, flagged)), files};
}

/** A tree of values as TOML gives it. */
type Tree = {readonly [name: string]: unknown};
type Complain = (keys: readonly string[], rule: string) => Error;

/** The config with all defaults filled in. The tree has been checked. */
function toConfig(tree: Tree): Config {
	return v.parse(schemaOf(KEYS, true), tree) as Config;
}

async function configFiles(path: string | null): Promise<readonly string[]> {
	const file = path ?? DEFAULT_CONFIG_PATH;
	const folder = `${file}.d`;
	let names: string[] = [];
	try {
		names = await readdir(folder);
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code !== 'ENOENT') throw new InvalidArgumentError(`${folder}: cannot be read: ${code}`, {}, {cause: error});
	}
	return [
		file,
		...names
			.filter(name => name.endsWith('.toml') && !name.startsWith('.'))
			.sort()
			.map(name => join(folder, name)),
	];
}

/** @returns null for a missing file that nobody asked for. */
async function readConfigFile(file: string, required: boolean): Promise<Tree | null> {
	let content: string;
	try {
		content = await readFile(file, 'utf8');
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code === 'ENOENT' && !required) return null;
		throw new InvalidArgumentError(`${file}: cannot be read: ${code}`, {file}, {cause: error});
	}
	const tree = parseToml(file, content);
	checkTree(tree, (keys, rule) => {
		const line = findLine(content, keys);
		return new InvalidArgumentError(`${file}${line === null ? '' : `:${line}`}: ${keys.join('.')}: ${rule}`, {file, key: keys.join('.')});
	});
	return tree;
}

function parseToml(file: string, content: string): Tree {
	try {
		return parse(content);
	} catch (error) {
		if (!(error instanceof TomlError)) throw error;
		// The message's later lines show the place in the file.
		const [what = 'not TOML'] = error.message.split('\n', 1);
		throw new InvalidArgumentError(`${file}:${error.line}: ${what}`, {file, line: error.line}, {cause: error});
	}
}

/** @throws what `complain` makes of the first key that breaks a rule. */
function checkTree(tree: Tree, complain: Complain): void {
	const result = v.safeParse(schemaOf(KEYS, false), tree);
	if (result.success) return;
	const [issue] = result.issues;
	const keys = (issue.path ?? []).map(item => String(item.key));
	const unknown = issue.type === 'strict_object' && issue.expected === 'never';
	throw complain(keys, unknown ? 'unknown key' : `${issue.message}, is ${JSON.stringify(issue.input) ?? 'nothing'}`);
}

/** @param filled Whether absent keys get their defaults. */
function schemaOf(table: Table, filled: boolean): v.GenericSchema {
	const entries: Record<string, v.GenericSchema> = {};
	for (const [name, entry] of Object.entries(table)) {
		if (isKey(entry)) entries[name] = (filled ? v.optional(entry.rule, entry.default as never) : v.optional(entry.rule)) as v.GenericSchema;
		else entries[name] = (filled ? v.optional(schemaOf(entry, filled), {}) : v.optional(schemaOf(entry, filled))) as v.GenericSchema;
	}
	return v.strictObject(entries, 'must be a table');
}

function merge(under: Tree, over: Tree): Tree {
	const merged: Record<string, unknown> = {...under};
	for (const [name, value] of Object.entries(over)) {
		const before = merged[name];
		merged[name] = isTree(before) && isTree(value) ? merge(before, value) : value;
	}
	return merged;
}

function isTree(value: unknown): value is Tree {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The line (from 1) that sets the key, or opens the table, that lies deepest on the path; null when the text hides it (an inline table, say). */
function findLine(content: string, keys: readonly string[]): number | null {
	let table: readonly string[] = [];
	let best: {readonly line: number; readonly depth: number} | null = null;
	for (const [index, line] of content.split('\n').entries()) {
		const header = /^\s*\[\[?([^\]]+)\]/.exec(line)?.[1];
		const name = /^\s*([^=#[]+?)\s*=/.exec(line)?.[1];
		if (header !== undefined) table = splitKey(header);
		else if (name === undefined) continue;
		const path = header === undefined ? [...table, ...splitKey(name ?? '')] : table;
		const fits = path.length <= keys.length && path.every((part, depth) => part === keys[depth]);
		if (fits && path.length > (best?.depth ?? 0)) best = {line: index + 1, depth: path.length};
	}
	return best?.line ?? null;
}

/** A dotted key of TOML, parts perhaps in quotes. */
function splitKey(dotted: string): readonly string[] {
	return [...dotted.matchAll(/"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)/g)].map(([, double, single, bare]) => double ?? single ?? bare ?? '');
}

function flagName(keys: readonly string[]): string {
	return keys.join('-').replaceAll('_', '-');
}

function withoutUndefined(values: Readonly<Record<string, unknown>>): Tree {
	return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
