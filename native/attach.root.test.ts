import {once} from 'node:events';
import {open, readFile, rename, stat} from 'node:fs/promises';
import type {Readable} from 'node:stream';
import {text} from 'node:stream/consumers';
import test, {type ExecutionContext} from 'ava';
import {SyscallError} from '../base/errors.js';
import {LaunchRig, until} from './launch-rig.js';
import type {AttachRequest, AttachSession, Launcher, LaunchSpec, Monitor} from './native.js';

interface Pod {
	readonly rig: LaunchRig;
	readonly launcher: Launcher;
	readonly monitor: Monitor;
	/** Created, not started. */
	create(script: string, more?: Partial<LaunchSpec>): Promise<string>;
	attach(containerId: string, more?: Partial<AttachRequest>): Promise<AttachSession>;
}

function podTest(title: string, body: (t: ExecutionContext, pod: Pod) => Promise<void>): void {
	test(title, async t => {
		await using rig = await LaunchRig.open();
		const launcher = await rig.openLauncher();
		const monitor = await launcher.createMonitor(rig.monitorRequest('pod'));
		const create: Pod['create'] = async (script, more) => {
			const spec = await rig.launchSpec('pod', script, more);
			await monitor.createContainer(spec);
			return spec.containerId;
		};
		const attach: Pod['attach'] = async (containerId, more) =>
			await monitor.attach({containerId, stdin: false, stdout: true, stderr: true, stdinOnce: false, ...more});
		await body(t, {rig, launcher, monitor, create, attach});
	});
}

const withTerminal = async (rig: LaunchRig, script: string): Promise<Partial<LaunchSpec>> => ({
	process: {...(await rig.launchSpec('pod', script)).process, tty: true},
	stdin: 'pipe',
});

/** What comes up to and with `wanted`. */
async function readUntil(stream: Readable, wanted: string): Promise<string> {
	let seen = '';
	while (!seen.includes(wanted)) {
		const chunk = stream.read() as Buffer | null;
		if (chunk !== null) seen += chunk.toString();
		else if (stream.readableEnded || stream.destroyed) throw new Error(`ended without ${JSON.stringify(wanted)}: ${JSON.stringify(seen)}`);
		else await Promise.race([once(stream, 'readable'), once(stream, 'end')]);
	}
	return seen;
}

podTest('twenty who are attached before the start each get all that it writes, each stream by itself, then the end; so does the log', async (t, pod) => {
	const id = await pod.create('seq 5000; echo problem >&2; exit 3');
	const sessions = await Promise.all(Array.from({length: 20}, () => pod.attach(id)));
	const outputs = sessions.map(async ({stdout, stderr, ended, stdin, tty}) => ({
		stdout: await text(stdout!),
		stderr: await text(stderr!),
		skipped: await ended,
		stdin,
		tty,
	}));
	await pod.monitor.startContainer(id);
	const wanted = Array.from({length: 5000}, (_, i) => `${i + 1}\n`).join('');
	for (const output of await Promise.all(outputs)) t.deepEqual(output, {stdout: wanted, stderr: 'problem\n', skipped: 0, stdin: null, tty: false});
	t.is((await pod.rig.exitOf(id)).exitCode, 3);
	t.deepEqual((await pod.rig.logLines(id)).length, 5001);
});

podTest('nothing of before is seen; a stream that is not asked for is not sent; who detaches leaves the container running', async (t, pod) => {
	const id = await pod.create('echo before; while ! read x; do :; done; echo "after $x"; echo no >&2; read y; exit 4', {stdin: 'pipe'});
	await pod.monitor.startContainer(id);
	await until(async () => ((await pod.rig.logLines(id)).length === 1 ? true : null));
	const first = await pod.attach(id, {stdin: true, stderr: false});
	t.is(first.stderr, null);
	first.stdin!.write('one\n');
	t.is(await readUntil(first.stdout!, '\n'), 'after one\n');
	await first.detach();
	await first.detach();
	t.is((await pod.monitor.list())[0]!.phase, 'running');
	const second = await pod.attach(id, {stdin: true});
	second.stdin!.end('two\n');
	await second.ended;
	t.is((await pod.rig.exitOf(id)).exitCode, 4);
});

podTest('stdin without anybody attached blocks its reader; the end of one client is not its end; CLOSE_STDIN is, for all', async (t, pod) => {
	const id = await pod.create('cat; echo closed', {stdin: 'pipe'});
	await pod.monitor.startContainer(id);
	const [one, two] = await Promise.all([pod.attach(id, {stdin: true}), pod.attach(id, {stdin: true})]);
	one.stdin!.end('first\n');
	t.is(await readUntil(one.stdout!, '\n'), 'first\n');
	await one.detach();
	two.stdin!.write('second\n');
	t.is(await readUntil(two.stdout!, 'second\n'), 'first\nsecond\n');
	const three = await pod.attach(id, {stdin: true});
	await two.closeStdin();
	t.is(await text(three.stdout!), 'closed\n');
	t.is(await three.ended, 0);
	t.is((await pod.rig.exitOf(id)).exitCode, 0);
});

podTest('with stdinOnce stdin closes when the one who had it leaves, though another has it too; later ones have none', async (t, pod) => {
	const id = await pod.create('cat; echo closed; sleep 1000', {stdin: 'pipe'});
	await pod.monitor.startContainer(id);
	const onlooker = await pod.attach(id, {stdinOnce: true});
	const other = await pod.attach(id, {stdin: true, stdinOnce: true});
	const one = await pod.attach(id, {stdin: true, stdinOnce: true});
	await onlooker.detach();
	one.stdin!.write('x\n');
	t.is(await readUntil(other.stdout!, '\n'), 'x\n');
	await one.detach();
	t.is(await readUntil(other.stdout!, '\n'), 'closed\n');
	t.is((await pod.attach(id, {stdin: true, stdinOnce: true})).stdin, null);
});

podTest("a daemon that dies: its clients are detached, stdinOnce holds, without it stdin stays open for the next daemon's", async (t, pod) => {
	const once = await pod.create('cat; echo closed; sleep 1000', {stdin: 'pipe'});
	const always = await pod.create('cat; echo closed; sleep 1000', {stdin: 'pipe'});
	for (const id of [once, always]) await pod.monitor.startContainer(id);
	await pod.attach(once, {stdin: true, stdinOnce: true});
	const first = await pod.attach(always, {stdin: true});
	first.ended.catch(() => {});
	const failed = t.throwsAsync(first.ended, {message: /gone/});
	pod.launcher.close();
	await failed;
	await until(async () => ((await pod.rig.logLines(once)).includes('closed') ? true : null));
	const monitor = await (await pod.rig.openLauncher()).findMonitor('pod');
	const next = await monitor!.attach({containerId: always, stdin: true, stdout: true, stderr: true, stdinOnce: false});
	next.stdin!.write('again\n');
	t.is(await readUntil(next.stdout!, '\n'), 'again\n');
	await next.detach();
	t.deepEqual(await pod.rig.logLines(always), ['again']);
});

podTest('a terminal: what is typed, its size, ^C', async (t, pod) => {
	const script = 'trap "echo caught; exit 7" INT; stty -echo; echo ready; while :; do read x && echo "got $x, $(stty size)"; done';
	const id = await pod.create(script, await withTerminal(pod.rig, script));
	const session = await pod.attach(id, {stdin: true, stderr: false});
	t.true(session.tty);
	await pod.monitor.startContainer(id);
	await readUntil(session.stdout!, 'ready\r\n');
	session.resize(123, 45);
	// Input goes past the monitor, which serves its calls in order.
	await pod.monitor.list();
	session.stdin!.write('word\n');
	t.is(await readUntil(session.stdout!, '\n'), 'got word, 45 123\r\n');
	session.stdin!.write('\x03');
	await readUntil(session.stdout!, 'caught\r\n');
	t.is(await session.ended, 0);
	t.is((await pod.rig.exitOf(id)).exitCode, 7);
	t.deepEqual(await pod.rig.logLines(id), ['ready\r', 'got word, 45 123\r', 'caught\r']);
});

podTest(
	'a client that reads nothing for a while: the container ends, the log is whole, the monitor does not grow; then the client gets all of it',
	async (t, pod) => {
		const id = await pod.create('read x; seq 2000000; echo done; exit 6', {stdin: 'pipe'});
		await pod.monitor.startContainer(id);
		const stopped = await pod.attach(id, {stdin: true, stderr: false});
		const memoryBefore = await residentKiB(pod.monitor.pid);
		stopped.stdin!.write('go\n');
		t.is((await pod.rig.exitOf(id)).exitCode, 6);
		t.is((await pod.rig.logLines(id)).length, 2_000_001);
		// A message and a pump's buffer, given back after a while; not the megabytes that the client has not taken.
		t.true((await residentKiB(pod.monitor.pid)) - memoryBefore < 1024);
		t.is(await text(stopped.stdout!), `${Array.from({length: 2_000_000}, (_, i) => i + 1).join('\n')}\ndone\n`);
		t.is(await stopped.ended, 0);
	},
);

podTest('what a client has not got is counted where no log has it, and when the container is removed', async (t, pod) => {
	const script = 'read x; seq 2000000; echo done > /done; read x';
	const total = 14_888_896;
	for (const log of [null, undefined]) {
		const id = await pod.create(script, {stdin: 'pipe', ...(log === null ? {log} : {})});
		await pod.monitor.startContainer(id);
		const stopped = await pod.attach(id, {stdin: true, stderr: false});
		stopped.stdin!.write('go\n');
		await until(() =>
			stat(`${pod.rig.dir}/root/${id}/upper/done`).then(
				() => true as const,
				() => null,
			),
		);
		await pod.monitor.removeContainer(id);
		const skipped = await stopped.ended;
		const got = (await text(stopped.stdout!)).length;
		t.true(skipped > 0 && got > 0);
		t.is(got + skipped, total);
	}
});

podTest(
	'a client that lags over a rotation of the log gets all of it; over several it goes on in the newest file, and what it missed is counted',
	async (t, pod) => {
		const seq = `${Array.from({length: 300_000}, (_, i) => i + 1).join('\n')}\n`;
		for (const renames of [1, 2]) {
			const id = await pod.create('for i in 1 2 3; do read x; seq 300000; done', {stdin: 'pipe'});
			await pod.monitor.startContainer(id);
			const stopped = await pod.attach(id, {stdin: true, stderr: false});
			const path = pod.rig.logPath(id);
			for (let round = 0; round < 2; round++) {
				stopped.stdin!.write('go\n');
				await until(async () => ((await readTail(path)).endsWith(' 300000\n') ? true : null));
				if (round < renames) await rename(path, `${path}.${round}`);
				await pod.monitor.reopenLog(id);
			}
			stopped.stdin!.write('go\n');
			await pod.rig.exitOf(id);
			const got = await text(stopped.stdout!);
			const skipped = await stopped.ended;
			t.is(got.length + skipped, seq.length * 3);
			t.is(skipped > 0, renames > 1);
			// Not by is(), which would show megabytes.
			t.true(renames > 1 ? got.endsWith(seq) : got === seq.repeat(3));
		}
	},
);

podTest('a client that closed its end does not harm the others, nor does a program that closes its outputs early', async (t, pod) => {
	const id = await pod.create('read x; echo one; read x; echo two; exec >&- 2>&-; read x; exit 9', {stdin: 'pipe'});
	await pod.monitor.startContainer(id);
	const leaver = await pod.attach(id);
	const stayer = await pod.attach(id, {stdin: true});
	leaver.stdout!.destroy();
	stayer.stdin!.write('1\n2\n');
	t.is(await text(stayer.stdout!), 'one\ntwo\n');
	const late = await pod.attach(id);
	t.is(await text(late.stdout!), '');
	stayer.stdin!.write('3\n');
	t.is(await stayer.ended, 0);
	t.is((await pod.rig.exitOf(id)).exitCode, 9);
});

podTest('refusals: unknown, exited, too many', async (t, pod) => {
	const errnoOf = async (containerId: string): Promise<number> => (await t.throwsAsync(pod.attach(containerId), {instanceOf: SyscallError})).errno;
	t.is(await errnoOf('no-such'), 2);
	const ended = await pod.create('exit 0');
	await pod.monitor.startContainer(ended);
	await pod.rig.exitOf(ended);
	t.is(await errnoOf(ended), 3);
	const id = await pod.create('sleep 1000');
	const all = await Promise.all(Array.from({length: 256}, () => pod.attach(id, {stderr: false})));
	t.is(await errnoOf(id), 16);
	await all[0]!.detach();
	await t.notThrowsAsync(pod.attach(id));
	await Promise.all(all.map(session => session.detach()));
});

async function readTail(path: string): Promise<string> {
	await using file = await open(path);
	const {size} = await file.stat();
	const {buffer, bytesRead} = await file.read(Buffer.alloc(16), 0, 16, Math.max(0, size - 16));
	return buffer.toString('latin1', 0, bytesRead);
}

async function residentKiB(pid: number): Promise<number> {
	return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
}
