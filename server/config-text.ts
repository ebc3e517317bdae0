import {stringify} from 'smol-toml';
import {isKey, KEYS, type Config, type Key, type Table} from './config-schema.js';

/** The config as a TOML file with each key's meaning above it. */
export function toToml(config: Config): string {
	return `${tableLines(KEYS, config as unknown as Values, []).join('\n')}\n`;
}

/** The same with every key at its default, commented out: what `berth config default` prints. */
export function defaultToml(): string {
	return toToml(defaultsOf(KEYS) as unknown as Config)
		.split('\n')
		.map(line => (line === '' || line.startsWith('#') || line.startsWith('[') ? line : `#${line}`))
		.join('\n');
}

type Values = {readonly [name: string]: unknown};

function defaultsOf(table: Table): Values {
	return Object.fromEntries(Object.entries(table).map(([name, entry]) => [name, isKey(entry) ? entry.default : defaultsOf(entry)]));
}

function tableLines(table: Table, values: Values, path: readonly string[]): readonly string[] {
	const lines: string[] = [];
	const own = Object.entries(table).filter((entry): entry is [string, Key<unknown>] => isKey(entry[1]));
	const below = Object.entries(table).filter((entry): entry is [string, Table] => !isKey(entry[1]));
	if (path.length > 0 && own.length > 0) lines.push('', `[${path.join('.')}]`);
	// Tables of free names come after the plain keys, which would else fall into them.
	for (const [name, {doc}] of own.filter(([name]) => !isFree(values[name]))) lines.push(`# ${doc}`, `${name} = ${inline(values[name])}`);
	for (const [name, {doc}] of own.filter(([name]) => isFree(values[name])))
		lines.push(...`${name}: ${doc}`.split('\n').map(line => `# ${line}`), ...freeTables([...path, name], values[name] as Values));
	for (const [name, inner] of below) lines.push(...tableLines(inner, values[name] as Values, [...path, name]));
	return lines;
}

function freeTables(path: readonly string[], tables: Values): readonly string[] {
	return Object.entries(tables).flatMap(([name, content]) => ['', `[${path.join('.')}.${JSON.stringify(name)}]`, stringify(content as Values).trimEnd()]);
}

function isFree(value: unknown): boolean {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function inline(value: unknown): string {
	return stringify({value}).slice('value = '.length).trimEnd();
}
