import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import test from 'ava';
import {PROJECT_DIR} from '../fixtures/images.js';
import {run} from '../rig/command.js';

const SHORT_FORM = ['--cuts', '12', '--operations', '40', '--self-check-cuts', '5'];
const TIMEOUT_MS = 280_000;

/** What outlives the namespaces that it runs in: a disk that somebody still has mounted. */
async function listLeft(name: string): Promise<readonly string[]> {
	const loops = (await run(['losetup', '--list', '--noheadings', '--output', 'NAME,BACK-FILE'])).stdout.split('\n');
	return loops.filter(line => line.includes(name));
}

test('the power is cut at random moments of a daemon with many pulls: every image reported pulled is intact, every other one absent or re-pullable', async t => {
	const name = randomBytes(4).toString('hex');
	const argv = [
		join(PROJECT_DIR, 'critest/crash/power-cut/alone.sh'),
		process.execPath,
		join(PROJECT_DIR, 'build/critest/crash/power-cut/run.js'),
		...SHORT_FORM,
		'--name',
		name,
	];
	const {exitCode, stdout, stderr} = await run(argv, {timeoutMs: TIMEOUT_MS});
	const said = `${stdout}${stderr}`;
	t.is(exitCode, 0, said);
	t.regex(stdout, /^ {2}12 cuts, 12 daemon starts$/m, said);
	t.regex(stdout, /^ {2}[1-9]\d* images promised/m, said);
	t.regex(stdout, /^power-cut: 12 cuts, 0 damaged, self-check found the damage$/m, said);
	t.deepEqual(await listLeft(name), [], 'a loop device is left');
	t.log(stdout);
});
