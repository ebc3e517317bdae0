import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {PROJECT_DIR} from './fixtures/images.js';

const read = (path: string): Promise<string> => readFile(join(PROJECT_DIR, path), 'utf8');

/** Files that a cell names; not commands. */
function filesOf(cell: string): readonly string[] {
	return cell
		.split(',')
		.map(part => part.trim())
		.filter(part => /^[\w./-]+\.test\.ts$/.test(part) && part.includes('/'));
}

async function readRpcRows(): Promise<ReadonlyMap<string, string>> {
	const [, section = ''] = /^## RPCs\n(.*?)^## /ms.exec(await read('SPECIFICATION.md')) ?? [];
	return new Map([...section.matchAll(/^\| (\w+) \| (.+) \|$/gm)].map(([, rpc = '', tests = '']) => [rpc, tests] as const).filter(([rpc]) => rpc !== 'RPC'));
}

test('every call of the proto file has a row in SPECIFICATION.md, in its order, and no other', async t => {
	const rpcs = [...(await read('proto/api.proto')).matchAll(/^ {4}rpc (\w+)/gm)].map(([, rpc]) => rpc);
	t.is(rpcs.length, 43);
	t.deepEqual([...(await readRpcRows()).keys()], rpcs as string[]);
});

test('each row names tests that exist, and one of them, or critest, calls it by name', async t => {
	for (const [rpc, tests] of await readRpcRows()) {
		const files = filesOf(tests);
		t.true(files.length > 0, rpc);
		t.is(files.length, tests.split(',').length, `${rpc}: only test files`);
		const texts = await Promise.all(files.map(read));
		t.true(
			texts.some(text => new RegExp(`\\b${rpc}\\b`).test(text)) || files.includes('critest/conformance/all.root.test.ts'),
			`${rpc}: no test of ${tests} names it`,
		);
	}
});

test('every test file that SPECIFICATION.md names by its whole path exists', async t => {
	const cells = [...(await read('SPECIFICATION.md')).matchAll(/^\|.*\| ([^|]+) \|$/gm)].map(([, cell = '']) => cell);
	const missing: string[] = [];
	for (const file of new Set(cells.flatMap(filesOf))) await read(file).catch(() => missing.push(file));
	t.deepEqual(missing, []);
});
