import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {systemClock} from '../base/clock.js';
import {silentLog} from '../base/log.js';
import {DirWatch} from './dir-watch.js';

const ROUNDS = 60;
/** Makes each directory that it is told, with its parents, and says so. */
const MAKER = `process.stdin.on('data', line => { require('fs').mkdirSync(String(line).trim(), {recursive: true}); process.stdout.write('made'); })`;

test('a directory that another process makes just while the watch is set up is watched all the same', async t => {
	const base = await mkdtemp(join(tmpdir(), 'berth-watch-'));
	const maker = spawn(process.execPath, ['-e', MAKER], {stdio: ['pipe', 'pipe', 'inherit']});
	t.teardown(async () => {
		maker.kill();
		await rm(base, {recursive: true, force: true});
	});
	// The first one waits for the program's start.
	for (let round = 0; round < ROUNDS; round++) {
		const dir = join(base, String(round), 'etc', 'cni', 'net.d');
		const made = once(maker.stdout, 'data');
		maker.stdin.write(`${dir}\n`);
		// At another moment of the making each time.
		const beginMs = performance.now() + (round % 20) / 60;
		while (performance.now() < beginMs);
		const told: string[] = [];
		const watch = new DirWatch(dir, () => void told.push(dir), {log: silentLog});
		await made;
		// What the making itself told has been told by now, or is told late, which is as good.
		await systemClock.sleep(5);
		const before = told.length;
		await writeFile(join(dir, '10.conflist'), '{}');
		for (let waitedMs = 0; told.length === before && waitedMs < 5000; waitedMs += 5) await systemClock.sleep(5);
		watch.close();
		t.true(told.length > before, `round ${round}: a file in the directory was not told`);
	}
});
