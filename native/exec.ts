import type {Clock} from '../base/clock.js';
import {CancelledError, CorruptError} from '../base/errors.js';
import {addon} from './addon.js';
import type {Reply} from './connection.js';
import {writeOciExec, writeProcess} from './launch-spec.js';
import type {ExecRequest, ExecResult, ExecSession} from './native.js';
import {FdStreams, OutputCollector} from './output.js';
import {BodyWriter} from './protocol.js';
import {LAUNCH_FLAG, MESSAGE, TAG} from './protocol-numbers.js';

// How long a killed exec may take to be gone (it may hang in the kernel) before execSync returns without it.
const KILL_GRACE_MS = 2000;
const KILLED_EXIT_CODE = 137;

/** What an exec needs of its monitor. */
export interface ExecHost {
	readonly clock: Clock;
	request(type: number, body: BodyWriter, fds?: readonly number[]): Promise<Reply>;
	/**
	 * Resolves with the exec's exit code; rejects with UnavailableError when the monitor is lost. To be asked before the exec is requested.
	 * @throws {AlreadyExistsError} an exec of this id runs.
	 */
	expectExit(execId: string): Promise<number>;
	forgetExit(execId: string): void;
}
export interface ExecLimits {
	readonly timeoutMs: number;
	readonly maxOutputBytes: number;
	readonly signal: AbortSignal | null;
}

/** Monitor.execSync, see native.ts. */
export async function execSync(host: ExecHost, request: ExecRequest, limits: ExecLimits): Promise<ExecResult> {
	const cancelled = (): CancelledError => new CancelledError(`exec in container "${request.containerId}" cancelled`, {execId: request.execId});
	if (limits.signal?.aborted === true) throw cancelled();
	const exited = host.expectExit(request.execId);
	const [stdoutRead, stdoutWrite] = addon.pipe();
	const [stderrRead, stderrWrite] = addon.pipe();
	const stdout = new OutputCollector(stdoutRead, limits.maxOutputBytes);
	const stderr = new OutputCollector(stderrRead, limits.maxOutputBytes);
	const over = new AbortController();
	let ending: {readonly exitCode: number; readonly cutBy: Cut | null};
	try {
		const body = writeExec(request).u32(TAG.STDOUT_FD, 0).u32(TAG.STDERR_FD, 1);
		// What may have to be killed must be found. Without a timeout the command's daemons become orphans of the container's, as ever.
		if (limits.timeoutMs > 0) body.u32(TAG.LAUNCH_FLAGS, LAUNCH_FLAG.KEEP_ORPHANS);
		const started = host.request(MESSAGE.EXEC, body, [stdoutWrite, stderrWrite]);
		const finished = started.then(async ({fds}) => (addon.closeFds(fds), await exited));
		const first = await Promise.race([finished, cutOf(host.clock, limits, over.signal)]);
		if (typeof first !== 'number') await killExec(host, request.execId, started, finished);
		ending = typeof first === 'number' ? {exitCode: first, cutBy: null} : {exitCode: KILLED_EXIT_CODE, cutBy: first};
	} finally {
		over.abort();
		host.forgetExit(request.execId);
		stdout.close();
		stderr.close();
	}
	if (ending.cutBy === 'abort') throw cancelled();
	const truncated = stdout.truncated || stderr.truncated;
	return {exitCode: ending.exitCode, stdout: stdout.bytes(), stderr: stderr.bytes(), truncated, timedOut: ending.cutBy === 'timeout'};
}

type Cut = 'timeout' | 'abort';

/** Resolves when the exec has to end although it has not; never after `over`. */
async function cutOf(clock: Clock, limits: ExecLimits, over: AbortSignal): Promise<Cut> {
	return await new Promise(resolve => {
		limits.signal?.addEventListener('abort', () => resolve('abort'), {once: true, signal: over});
		if (limits.timeoutMs > 0) void clock.sleep(limits.timeoutMs, over).then(() => over.aborted || resolve('timeout'));
	});
}

/** Kills the exec, which may not even be started yet, and waits a while for its end. */
async function killExec(host: ExecHost, execId: string, started: Promise<Reply>, finished: Promise<number>): Promise<void> {
	const kill = async (): Promise<unknown> => await host.request(MESSAGE.EXEC_KILL, new BodyWriter().string(TAG.EXEC_ID, execId));
	const gone = new AbortController();
	const ended = finished
		.then(
			() => {},
			() => {},
		)
		.finally(() => gone.abort());
	// The monitor serves in order; the second kill is for one that took the exec up after the first.
	const killed = kill()
		.then(async () => (await started, await kill()))
		.then(
			() => ended,
			() => ended,
		);
	await Promise.race([killed, host.clock.sleep(KILL_GRACE_MS, gone.signal)]);
}

/** Monitor.exec, see native.ts. */
export async function exec(host: ExecHost, request: ExecRequest & {readonly stdin: boolean}): Promise<ExecSession> {
	const exited = host.expectExit(request.execId);
	const streams = request.process.tty ? null : openPipes(request.stdin);
	const body = writeExec(request);
	for (const [index, tag] of (streams?.tags ?? []).entries()) body.u32(tag, index);
	try {
		const reply = await host.request(MESSAGE.EXEC, body, streams?.remote ?? []);
		const local = streams?.local ?? openTerminal(reply.fds, request.stdin);
		return toSession(host, request, {pid: reply.body.u32(TAG.PID), local, exited});
	} catch (error) {
		for (const stream of streams?.local ?? []) stream.end();
		host.forgetExit(request.execId);
		throw error;
	}
}

function openPipes(stdin: boolean): {readonly local: FdStreams[]; readonly remote: number[]; readonly tags: number[]} {
	const [stdoutRead, stdoutWrite] = addon.pipe();
	const [stderrRead, stderrWrite] = addon.pipe();
	const local = [new FdStreams(stdoutRead, {read: true, write: false}), new FdStreams(stderrRead, {read: true, write: false})];
	const remote = [stdoutWrite, stderrWrite];
	const tags: number[] = [TAG.STDOUT_FD, TAG.STDERR_FD];
	if (stdin) {
		const [stdinRead, stdinWrite] = addon.pipe();
		local.push(new FdStreams(stdinWrite, {read: false, write: true}));
		remote.push(stdinRead);
		tags.push(TAG.STDIN_FD);
	}
	return {local, remote, tags};
}

function openTerminal(fds: readonly number[], stdin: boolean): FdStreams[] {
	const [master, ...others] = fds;
	addon.closeFds(others);
	if (master === undefined) throw new CorruptError('the monitor sent no terminal');
	return [new FdStreams(master, {read: true, write: stdin})];
}

function toSession(
	host: ExecHost,
	request: ExecRequest,
	{pid, local, exited}: {readonly pid: number; readonly local: readonly FdStreams[]; readonly exited: Promise<number>},
): ExecSession {
	const finished = exited.finally(() => {
		for (const stream of local) stream.end();
		host.forgetExit(request.execId);
	});
	// Whoever does not wait for the end need not hear that the monitor was lost.
	finished.catch(() => {});
	const tell = (type: number, body: BodyWriter): void => {
		// An exec that is gone has no size and needs no kill.
		host.request(type, body.string(TAG.EXEC_ID, request.execId)).catch(() => {});
	};
	return {
		pid,
		stdin: local.find(stream => stream.writable !== null)?.writable ?? null,
		stdout: local[0]!.readable!,
		stderr: request.process.tty ? null : local[1]!.readable,
		exited: finished,
		resize: (columns, rows) => tell(MESSAGE.RESIZE, new BodyWriter().u32(TAG.COLUMNS, columns).u32(TAG.ROWS, rows)),
		kill: () => tell(MESSAGE.EXEC_KILL, new BodyWriter()),
	};
}

function writeExec(request: ExecRequest): BodyWriter {
	const body = new BodyWriter().string(TAG.CONTAINER_ID, request.containerId).string(TAG.EXEC_ID, request.execId);
	writeProcess(body, request.process).strings(TAG.CGROUP_JOIN, request.cgroupJoin);
	return request.oci === undefined ? body : writeOciExec(body, request.oci);
}
