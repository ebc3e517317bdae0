import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {PROJECT_DIR} from '../fixtures/images.js';
import {HANDLERS} from './handlers.js';

/** Wrapper messages that are one value. */
const VALUES = new Set(['Int64Value']);

interface Row {
	readonly field: string;
	readonly does: string;
	readonly shownBy: string;
}

const proto = await readFile(join(PROJECT_DIR, 'proto/api.proto'), 'utf8');
const page = await readFile(join(PROJECT_DIR, 'docs/fields.md'), 'utf8');
const messages = parseMessages(proto);
const tables = parseTables(page);

/** Fields, with their types, of every message at the top level of a proto file. */
function parseMessages(text: string): ReadonlyMap<string, readonly (readonly [name: string, type: string])[]> {
	const found = new Map<string, (readonly [string, string])[]>();
	for (const [, name = '', body = ''] of text.matchAll(/^message (\w+) \{(.*?)^\}/gms)) {
		const lines = body.replaceAll(/\/\/.*/g, '').replaceAll(/enum \w+ \{.*?\}/gs, '');
		const fields = lines.matchAll(/(?:repeated\s+)?(map<[^>]*>|[\w.]+)\s+(\w+)\s*=\s*\d+\s*(?:\[[^\]]*\])?\s*;/g);
		found.set(
			name,
			[...fields].map(([, type = '', field = '']) => [field, type] as const),
		);
	}
	return found;
}

function parseTables(text: string): ReadonlyMap<string, readonly Row[]> {
	const sections = text.split(/^## /m).slice(1);
	return new Map(
		sections.map(section => {
			const [title = '', ...lines] = section.split('\n');
			const rows = lines.filter(line => line.startsWith('| ')).slice(1);
			return [
				title.trim(),
				rows.map(line => {
					const [, field = '', does = '', shownBy = ''] = line.split(/(?<!\\)\|/).map(cell => cell.trim());
					return {field, does, shownBy};
				}),
			];
		}),
	);
}

/** Messages that a pod sandbox or a container is asked for by. What is below a Windows message is refused with the `windows` above it. */
function reachable(): ReadonlySet<string> {
	const seen = new Set<string>();
	const walk = (name: string): void => {
		if (seen.has(name) || VALUES.has(name) || name.startsWith('Windows') || !messages.has(name)) return;
		seen.add(name);
		for (const [, type] of messages.get(name) ?? []) walk(type);
	};
	walk('PodSandboxConfig');
	walk('ContainerConfig');
	return seen;
}

test('every field of every message has one row, in the order of the proto file, and no row is of no field', t => {
	t.is(reachable().size, 23);
	t.deepEqual([...tables.keys()].sort(), [...reachable()].sort());
	for (const name of reachable()) {
		t.deepEqual(
			tables.get(name)?.map(({field}) => field),
			messages.get(name)?.map(([field]) => field),
			name,
		);
	}
});

test('what a runtime handler cannot do is told by the title of a test that exists, with the reason', async t => {
	const dir = join(PROJECT_DIR, 'critest/fields');
	const names = (await readdir(dir)).filter(name => name.endsWith('.root.test.ts'));
	const sources = await Promise.all(names.map(name => readFile(join(dir, name), 'utf8')));
	const all = sources.join('\n').replaceAll("\\'", "'");
	for (const {name, cannot} of HANDLERS) {
		for (const [title, reason] of Object.entries(cannot)) {
			t.true(all.includes(title), `${name}: no test "${title}"`);
			t.true(reason.length > 10, title);
		}
	}
	t.deepEqual(HANDLERS.find(({name}) => name === 'native')?.cannot ?? {}, {}, 'natively all are run');
});

test('every row says what the field does and names tests that exist', async t => {
	const files = new Map<string, string>();
	for (const [name, rows] of tables) {
		for (const {field, does, shownBy} of rows) {
			const where = `${name}.${field}`;
			t.true(does.length > 3, where);
			for (const one of shownBy.split('<br>')) {
				const [file = '', title = ''] = one.split(' › ').map(part => part.trim());
				t.regex(file, /\.test\.ts$/, where);
				t.true(title.length > 0, `${where}: no title`);
				if (!files.has(file)) files.set(file, await readFile(join(PROJECT_DIR, file), 'utf8'));
				t.true(files.get(file)?.replaceAll("\\'", "'").includes(title), `${where}: ${file} has no test "${title}"`);
			}
		}
	}
});
