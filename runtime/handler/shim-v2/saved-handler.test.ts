import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {CorruptError} from '../../../base/errors.js';
import {readSavedHandler, saveHandler} from './saved-handler.js';

test('what a pod keeps of its handler is read back whole; a pod without one has none; anything else is told by its path', async t => {
	const runDir = await mkdtemp(join(tmpdir(), 'saved-handler-'));
	t.teardown(async () => await rm(runDir, {recursive: true, force: true}));
	await mkdir(join(runDir, 'shims', 'pod'), {recursive: true});
	const handler = {name: 'kata', type: 'shim-v2', path: '/usr/bin/kata', options: ['a=b'], timeoutMs: 7} as const;
	t.is(await readSavedHandler(runDir, 'pod'), null);
	await saveHandler(runDir, 'pod', handler);
	t.deepEqual(await readSavedHandler(runDir, 'pod'), {...handler, options: [...handler.options]});
	for (const bad of ['', '{', '{}', JSON.stringify({...handler, type: 'oci'}), JSON.stringify({...handler, options: [1]})]) {
		await writeFile(join(runDir, 'shims', 'pod', 'handler.json'), bad);
		await t.throwsAsync(readSavedHandler(runDir, 'pod'), {instanceOf: CorruptError, message: /shims\/pod\/handler\.json: not a runtime handler/});
	}
});
