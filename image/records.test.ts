import {mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {silentLog} from '../base/log.js';
import type {ImageRecord} from './image.js';
import {ImageRecords, type RecordJudge} from './records.js';

const idOf = (digit: string): string => `sha256:${digit.repeat(64)}`;
const judge: RecordJudge = {isWhole: () => true, isPinned: tags => tags.some(tag => tag.includes('pause'))};

function image(digit: string, tags: readonly string[]): ImageRecord {
	return {
		id: idOf(digit),
		repoTags: tags,
		repoDigests: [`docker.io/library/x@${idOf(digit)}`],
		sizeBytes: 1,
		config: {user: '', env: [], entrypoint: [], cmd: [], workingDir: '', volumes: [], stopSignal: '', labels: {}},
		layers: [{digest: idOf('d'), mediaType: 'm', sizeBytes: 1, diffId: idOf('e'), chainId: idOf('e')}],
		pinned: false,
		configJson: '{}',
		manifest: {digest: idOf(digit), mediaType: 'm', json: '{}'},
	};
}

async function makeDir(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), 'berth-records-'));
	t.teardown(async () => await rm(dir, {recursive: true, force: true}));
	return dir;
}

test('ImageRecords finds by id, tag and digest, and follows a change', async t => {
	const records = await ImageRecords.open(await makeDir(t), judge, silentLog);
	await records.put(image('1', ['docker.io/library/x:1']));
	t.is(records.findByName('docker.io/library/x:1')?.id, idOf('1'));
	t.is(records.findByName(`docker.io/library/x@${idOf('1')}`)?.id, idOf('1'));
	const list = records.list();
	t.is(records.list(), list, 'a list that nothing changed is not made again');
	await records.put(image('1', ['docker.io/library/x:2']));
	t.is(records.findByName('docker.io/library/x:1'), null);
	t.is(records.findByName('docker.io/library/x:2')?.id, idOf('1'));
	t.not(records.list(), list);
	await records.remove(idOf('1'));
	await records.remove(idOf('1'));
	t.is(records.get(idOf('1')), null);
	t.is(records.findByName('docker.io/library/x:2'), null);
	t.deepEqual(records.list(), []);
});

test('ImageRecords keeps a tag with the image that took it when the other one goes', async t => {
	const records = await ImageRecords.open(await makeDir(t), judge, silentLog);
	await records.put(image('1', ['docker.io/library/x:1']));
	await records.put(image('2', ['docker.io/library/x:1']));
	await records.remove(idOf('1'));
	t.is(records.findByName('docker.io/library/x:1')?.id, idOf('2'));
});

test('ImageRecords reads what it wrote; an image that is not whole is known but not shown', async t => {
	const dir = await makeDir(t);
	const before = await ImageRecords.open(dir, judge, silentLog);
	await before.put(image('1', ['docker.io/library/x:1']));
	await before.put(image('2', ['registry.k8s.io/pause:3.9']));
	const after = await ImageRecords.open(dir, {...judge, isWhole: ({id}) => id !== idOf('1')}, silentLog);
	t.deepEqual(
		after.list().map(({id}) => id),
		[idOf('2')],
	);
	t.true(after.get(idOf('2'))?.pinned, 'pinned by the config of today');
	t.is(after.get(idOf('1')), null);
	t.is(after.findByName('docker.io/library/x:1'), null);
	t.is(after.getIncomplete(idOf('1'))?.id, idOf('1'));
	t.is(after.findIncomplete('docker.io/library/x:1')?.id, idOf('1'));
	await after.put(image('1', ['docker.io/library/x:1']));
	t.is(after.getIncomplete(idOf('1')), null);
	t.is(after.findByName('docker.io/library/x:1')?.id, idOf('1'));
});

for (const [what, content] of [
	['cut short', '{"version":2,"record":{"id":"sha'],
	['of a newer version', JSON.stringify({version: 99, record: image('1', [])})],
	['without layers', JSON.stringify({version: 2, record: {id: idOf('1')}})],
	['empty', ''],
] as const) {
	test(`ImageRecords forgets a record that is ${what}, and serves the rest`, async t => {
		const dir = await makeDir(t);
		await (await ImageRecords.open(dir, judge, silentLog)).put(image('2', []));
		await writeFile(join(dir, 'images', `${'1'.repeat(64)}.json`), content);
		const records = await ImageRecords.open(dir, judge, silentLog);
		t.deepEqual(
			records.list().map(({id}) => id),
			[idOf('2')],
		);
		t.deepEqual(await readdir(join(dir, 'images')), [`${'2'.repeat(64)}.json`]);
	});
}

test('ImageRecords reads records of version 1: they have no manifest, and layers without a size', async t => {
	const dir = await makeDir(t);
	await ImageRecords.open(dir, judge, silentLog);
	const {manifest: _, ...old} = image('1', ['docker.io/library/x:1']);
	await writeFile(
		join(dir, 'images', `${'1'.repeat(64)}.json`),
		JSON.stringify({version: 1, record: {...old, layers: [{digest: idOf('d'), diffId: idOf('e'), chainId: idOf('e')}]}}),
	);
	const record = (await ImageRecords.open(dir, judge, silentLog)).get(idOf('1'));
	t.is(record?.manifest, null);
	t.deepEqual(record?.layers, [{digest: idOf('d'), diffId: idOf('e'), chainId: idOf('e'), mediaType: '', sizeBytes: 0}]);
});
