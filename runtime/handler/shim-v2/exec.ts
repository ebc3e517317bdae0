import {join} from 'node:path';
import {rm} from 'node:fs/promises';
import {CancelledError} from '../../../base/errors.js';
import type {Clock} from '../../../base/clock.js';
import type {ExecRequest, ExecResult, ExecSession, FifoReader, FifoWriter, Kernel} from '../../../native/native.js';
import {toExecFailure} from './exec-failure.js';
import {toJson, toOciProcess} from '../oci/spec.js';
import type {ShimTasks} from './tasks.js';

const PROCESS_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Process';
const SIGKILL = 9;
const KILLED_EXIT_CODE = 137;
/** What the shim copied last may come after its word that the process has ended; a background child may hold the output for ever. */
const DRAIN_MS = 500;
/** A killed process that hangs in the kernel is not waited for any longer. */
const KILL_GRACE_MS = 2000;

/** What an exec needs of its pod. */
export interface ExecPlace {
	readonly tasks: ShimTasks;
	readonly kernel: Kernel;
	readonly clock: Clock;
	/** Of the container: the FIFOs lie there as long as the exec lasts. */
	readonly bundleDir: string;
}

/** Exec of native.ts' Monitor by a shim. */
export async function execByShim(place: ExecPlace, request: ExecRequest & {readonly stdin: boolean}): Promise<ExecSession> {
	const {tasks} = place;
	const {containerId: id, execId, process} = request;
	const fifos = await openFifos(place, request);
	const key = {id, execId};
	try {
		const stderr = process.tty ? '' : fifos.paths.stderr;
		const io = {terminal: process.tty, stdin: request.stdin ? fifos.paths.stdin : '', stdout: fifos.paths.stdout, stderr};
		await tasks.exec({id, exec_id: execId, ...io, spec: {type_url: PROCESS_TYPE, value: Buffer.from(toJson(toProcess(request)))}});
		const pid = await startOrForget(tasks, key);
		const exited = untilEnded(place, {key, fifos});
		// Whoever does not wait for the end need not hear that the shim was lost.
		exited.catch(() => {});
		// As a pipe's other end that is closed: the shim holds a reading end of the FIFO, so it has to be told.
		fifos.stdin?.stream.once('finish', () => void tasks.closeStdin(key).catch(() => {}));
		return {
			pid,
			stdin: fifos.stdin?.stream ?? null,
			stdout: fifos.stdout.stream,
			stderr: fifos.stderr?.stream ?? null,
			exited,
			resize: (columns, rows) => void tasks.resize(key, columns, rows).catch(() => {}),
			kill: () => void tasks.kill(key, SIGKILL, false).catch(() => {}),
		};
	} catch (error) {
		await closeFifos(fifos);
		throw toExecFailure(error, process.args[0] ?? '') ?? error;
	}
}

/** ExecSync of native.ts' Monitor by a shim. The kill at the timeout is the shim's: of the exec's own process. */
export async function execSyncByShim(
	place: ExecPlace,
	request: ExecRequest,
	limits: {readonly timeoutMs: number; readonly maxOutputBytes: number; readonly signal: AbortSignal | null},
): Promise<ExecResult> {
	const cancelled = (): CancelledError => new CancelledError(`exec in container "${request.containerId}" cancelled`, {execId: request.execId});
	if (limits.signal?.aborted === true) throw cancelled();
	const session = await execByShim(place, {...request, stdin: false});
	const stdout = new Collector(session.stdout, limits.maxOutputBytes);
	const stderr = session.stderr === null ? null : new Collector(session.stderr, limits.maxOutputBytes);
	const over = new AbortController();
	const cut = new Promise<'timeout' | 'abort'>(resolve => {
		limits.signal?.addEventListener('abort', () => resolve('abort'), {once: true, signal: over.signal});
		if (limits.timeoutMs > 0) void place.clock.sleep(limits.timeoutMs, over.signal).then(() => over.signal.aborted || resolve('timeout'));
	});
	try {
		const first = await Promise.race([session.exited, cut]);
		if (typeof first !== 'number') {
			session.kill();
			await Promise.race([session.exited, place.clock.sleep(KILL_GRACE_MS, over.signal)]);
		}
		if (first === 'abort') throw cancelled();
		const truncated = stdout.truncated || (stderr?.truncated ?? false);
		const output = {stdout: stdout.bytes(), stderr: stderr?.bytes() ?? Buffer.alloc(0), truncated};
		return typeof first === 'number' ? {exitCode: first, ...output, timedOut: false} : {exitCode: KILLED_EXIT_CODE, ...output, timedOut: true};
	} finally {
		over.abort();
	}
}

interface Fifos {
	readonly paths: {readonly stdin: string; readonly stdout: string; readonly stderr: string};
	readonly stdin: FifoWriter | null;
	readonly stdout: FifoReader;
	readonly stderr: FifoReader | null;
}

async function openFifos({kernel, bundleDir}: ExecPlace, {execId, process, stdin}: ExecRequest & {readonly stdin: boolean}): Promise<Fifos> {
	const at = (stream: string): string => join(bundleDir, `exec-${execId}-${stream}`);
	const paths = {stdin: at('stdin'), stdout: at('stdout'), stderr: at('stderr')};
	const stdout = await kernel.openFifoReader(paths.stdout);
	const stderr = process.tty ? null : await kernel.openFifoReader(paths.stderr);
	return {paths, stdout, stderr, stdin: stdin ? await kernel.openFifoWriter(paths.stdin) : null};
}

async function closeFifos({paths, stdin, stdout, stderr}: Fifos): Promise<void> {
	for (const end of [stdin, stdout, stderr]) end?.end();
	await Promise.all(Object.values(paths).map(path => rm(path, {force: true})));
}

function toProcess(request: ExecRequest): object {
	const {uid, gid, supplementalGids} = request.process.user;
	return toOciProcess(request.process, {user: {uid: uid ?? 0, gid: gid ?? 0, additionalGids: supplementalGids}, home: 'HOME=/'});
}

async function startOrForget(tasks: ShimTasks, key: {readonly id: string; readonly execId: string}): Promise<number> {
	try {
		return await tasks.start(key);
	} catch (error) {
		await tasks.delete(key).catch(() => {});
		throw error;
	}
}

/** @returns the exit code, once the streams have ended as well, or nobody will write to them but what the command left behind. */
async function untilEnded(
	{tasks, clock}: ExecPlace,
	{key, fifos}: {readonly key: {readonly id: string; readonly execId: string}; readonly fifos: Fifos},
): Promise<number> {
	const ends = [fifos.stdout, fifos.stderr].map(end =>
		end === null ? Promise.resolve() : new Promise<void>(resolve => void end.stream.once('close', resolve)),
	);
	try {
		const {exitCode} = await tasks.wait(key, null);
		const drained = new AbortController();
		await Promise.race([Promise.all(ends), clock.sleep(DRAIN_MS, drained.signal)]);
		drained.abort();
		await tasks.delete(key).catch(() => {});
		return exitCode;
	} finally {
		await closeFifos(fifos);
	}
}

/** Keeps the first `maxBytes` of a stream and drops the rest, so that the writer is never held up. */
class Collector {
	readonly #chunks: Buffer[] = [];
	#length = 0;
	truncated = false;

	constructor(stream: ExecSession['stdout'], maxBytes: number) {
		stream.on('data', (chunk: Buffer) => {
			const kept = chunk.subarray(0, Math.max(0, maxBytes - this.#length));
			if (kept.length < chunk.length) this.truncated = true;
			// An empty piece would keep the memory of its whole chunk.
			if (kept.length === 0) return;
			this.#chunks.push(kept);
			this.#length += kept.length;
		});
	}

	bytes(): Buffer {
		return Buffer.concat(this.#chunks);
	}
}
