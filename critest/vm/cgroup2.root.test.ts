import {existsSync} from 'node:fs';
import {readdir, readFile, readlink} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {patientMs} from '../../base/test-patience.js';
import {PROJECT_DIR} from '../fixtures/images.js';
import {until} from '../rig/pods.js';
import {bootVm} from './boot.js';
import {SHORT_JOB} from './phases.js';

/**
 * The short form of `make test-cgroup2`. user-mode Linux, of which the VM is made, is for x86_64 only, and not every distribution has it (setup.sh says so);
 * in a VM there is no other one.
 */
const isPossible = process.arch === 'x64' && patientMs(1) === 1 && !existsSync(join(PROJECT_DIR, '.cache/vm/uml.missing'));
const vmTest = isPossible ? test.serial : test.serial.skip;
const DEADLINE_MS = 285_000;

/** Processes by their mount namespace. */
async function listInNamespace(namespace: string): Promise<readonly string[]> {
	const found: string[] = [];
	for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
		const link = await readlink(`/proc/${pid}/ns/mnt`).catch(() => '');
		if (link === namespace) found.push(pid);
	}
	return found;
}

/** Of what the VM runs in: below the process that was started. */
async function namespaceBelow(pid: number): Promise<string> {
	const [child = ''] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
	return await readlink(`/proc/${child}/ns/mnt`);
}

vmTest('with cgroup v2 alone pods live and die, limits and the OOM killer act (in a VM)', async t => {
	const lines: string[] = [];
	const {exitCode, tail} = await bootVm({
		kind: 'uml',
		job: `cat /proc/self/mountinfo\n${SHORT_JOB}`,
		deadlineMs: DEADLINE_MS,
		onLine: line => void lines.push(line),
	});
	const said = lines.join('\n');
	t.is(exitCode, 0, `${said}\n${tail.join('\n')}`);
	t.regex(said, / \/sys\/fs\/cgroup \S+ \S+ - cgroup2 /);
	t.notRegex(said, / - cgroup /);
	t.regex(said, /^[1-9]\d* passed, 0 failed, 0 skipped$/m);
});

vmTest('a job that fails in a VM is a failure here', async t => {
	t.is((await bootVm({kind: 'uml', job: 'exit 3', deadlineMs: DEADLINE_MS})).exitCode, 3);
});

vmTest('a VM that is killed at its deadline leaves no process, and so no mount, of it', async t => {
	let namespace = '';
	let before: readonly string[] = [];
	const {exitCode, timedOut} = await bootVm({
		kind: 'uml',
		job: 'sleep 1000',
		deadlineMs: 20_000,
		onStart: pid => {
			void (async () => {
				namespace = await namespaceBelow(pid);
				before = await listInNamespace(namespace);
			})();
		},
	});
	t.deepEqual([exitCode, timedOut], [null, true]);
	t.not(namespace, await readlink('/proc/self/ns/mnt'));
	t.true(before.length > 0, 'the VM was not found while it ran');
	// The kernel may still be taking down what was killed.
	t.deepEqual(
		await until(
			'no process is left',
			() => listInNamespace(namespace),
			left => left.length === 0,
		),
		[],
	);
});
