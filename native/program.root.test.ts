import {readdir, readFile, readlink} from 'node:fs/promises';
import test from 'ava';
import {systemClock} from '../base/clock.js';
import {CancelledError, SyscallError} from '../base/errors.js';
import {patientMs} from '../base/test-patience.js';
import type {ProgramRequest} from './native.js';
import {openNative} from './open-native.js';

const {kernel} = openNative();

function shell(script: string, more: Partial<ProgramRequest> = {}): ProgramRequest {
	return {
		path: '/bin/sh',
		args: ['-c', script],
		env: ['PATH=/usr/bin:/bin'],
		stdin: new Uint8Array(),
		cwd: null,
		timeoutMs: 0,
		maxOutputBytes: 1 << 20,
		...more,
	};
}

async function untilGone(pid: number): Promise<void> {
	for (;;) {
		const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
		if (stat === null || stat.includes(') Z ')) return;
		await systemClock.sleep(5);
	}
}

test('input, both outputs, environment, arguments and exit code', async t => {
	const {exitCode, stdout, stderr, timedOut} = await kernel.runProgram(
		shell('cat; echo "$A" >&2; exit 7', {stdin: Buffer.from('in\0put'), env: ['A=b c']}),
		null,
	);
	t.deepEqual([exitCode, Buffer.from(stdout).toString(), Buffer.from(stderr).toString(), timedOut], [7, 'in\0put', 'b c\n', false]);
});

test('a program ended by a signal is 128 + n; one that is missing is a SyscallError with its path', async t => {
	t.is((await kernel.runProgram(shell('kill -TERM $$'), null)).exitCode, 143);
	const error = await t.throwsAsync(kernel.runProgram(shell('', {path: '/no/such'}), null), {instanceOf: SyscallError});
	t.deepEqual(error.details, {stage: 'start program', errno: 2, path: '/no/such'});
});

test('it starts with default signal handlers, an empty mask, a session of its own and no descriptors but three', async t => {
	const {stdout} = await kernel.runProgram(shell('grep -E "^Sig(Blk|Ign)" /proc/self/status; ls /proc/self/fd; cut -d" " -f1,6 /proc/$$/stat'), null);
	const lines = Buffer.from(stdout).toString().trim().split('\n');
	t.is(lines[0], 'SigBlk:\t0000000000000000');
	// 32 and 33 are the C library's own, which posix_spawn leaves ignored and a program's C library sets when it needs them.
	t.is(BigInt(`0x${lines[1]!.split('\t')[1]}`) & ~0x1_8000_0000n, 0n);
	// 3 is the directory that ls itself reads.
	t.deepEqual(lines.slice(2, 6), ['0', '1', '2', '3']);
	const [pid, session] = lines[6]!.split(' ');
	t.is(pid, session);
});

test('it starts in the directory asked for; one that is missing is an error', async t => {
	const {stdout} = await kernel.runProgram(shell('pwd', {cwd: '/proc/self/net'}), null);
	t.regex(Buffer.from(stdout).toString(), /^\/proc\/\d*.*\/net\n$/);
	await t.throwsAsync(kernel.runProgram(shell('pwd', {cwd: '/no/such'}), null), {instanceOf: SyscallError});
});

test('output is cut at maxOutputBytes and the program is not held up', async t => {
	const {exitCode, stdout} = await kernel.runProgram(shell('head -c 3000000 /dev/zero; echo end >&2', {maxOutputBytes: 1000}), null);
	t.is(exitCode, 0);
	t.is(stdout.length, 1000);
});

test('at the timeout the whole process group is killed', async t => {
	const beganMs = systemClock.monotonicMs();
	const {exitCode, stdout, timedOut} = await kernel.runProgram(shell('sleep 100 & echo $!; wait', {timeoutMs: patientMs(200)}), null);
	t.true(timedOut);
	t.is(exitCode, 137);
	t.true(systemClock.monotonicMs() - beganMs < 5000);
	await untilGone(Number(Buffer.from(stdout).toString()));
});

test('an aborted program is killed and the call is CancelledError; one aborted before does not start', async t => {
	const abort = new AbortController();
	const running = kernel.runProgram(shell('sleep 100'), abort.signal);
	await systemClock.sleep(50);
	abort.abort();
	await t.throwsAsync(running, {instanceOf: CancelledError});
	await t.throwsAsync(kernel.runProgram(shell('echo'), abort.signal), {instanceOf: CancelledError});
});

test('a background child that holds the output open does not delay the end', async t => {
	const beganMs = systemClock.monotonicMs();
	const {stdout} = await kernel.runProgram(shell('sleep 20 & echo $!; exit 0'), null);
	t.true(systemClock.monotonicMs() - beganMs < 5000);
	process.kill(Number(Buffer.from(stdout).toString()), 'SIGKILL');
});

test.serial('hundreds at once: all outputs right, no descriptor or zombie left', async t => {
	// Other test files run in this process, so only the kinds of descriptors that they do not have are counted.
	const openFiles = async (): Promise<number> => {
		const targets = (await readdir('/proc/self/fd')).map(async fd => await readlink(`/proc/self/fd/${fd}`).catch(() => ''));
		return (await Promise.all(targets)).filter(target => /^\/memfd:stdin|pidfd/.test(target)).length;
	};
	const results = await Promise.all(Array.from({length: 300}, async (_, i) => await kernel.runProgram(shell(`echo ${i}; exit ${i % 256}`), null)));
	results.forEach(({exitCode, stdout}, i) => {
		t.is(exitCode, i % 256);
		t.is(Buffer.from(stdout).toString(), `${i}\n`);
	});
	t.is(await openFiles(), 0);
	const children = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8');
	for (const pid of children.split(' ').filter(Boolean)) {
		t.notRegex(await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => ''), /^sh$/);
	}
});
