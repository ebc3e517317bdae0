import type {Clock} from '../base/clock.js';
import {CancelledError} from '../base/errors.js';
import {addon, callAddon, type SpawnedProgram} from './addon.js';
import type {ProgramRequest, ProgramResult} from './native.js';
import {OutputCollector} from './output.js';

/** Kernel.runProgram, see native.ts. @throws {SyscallError} stage "start program". {CancelledError} after the program was killed. */
export async function runProgram(clock: Clock, request: ProgramRequest, signal: AbortSignal | null): Promise<ProgramResult> {
	const cancelled = (): CancelledError => new CancelledError(`${request.path} cancelled`, {path: request.path}, {cause: signal?.reason});
	if (isAborted(signal)) throw cancelled();
	const {path, args, env, stdin, cwd} = request;
	const spawned = await callAddon<SpawnedProgram>(done => addon.spawnProgram(path, args, env, stdin, cwd ?? '', done));
	const stdout = new OutputCollector(spawned.stdout, request.maxOutputBytes);
	const stderr = new OutputCollector(spawned.stderr, request.maxOutputBytes);
	const ended = new AbortController();
	let timedOut = false;
	const exited = new Promise<number>(resolve => {
		new addon.ExitWatch(spawned.pidfd, exitCode => {
			// From here on the group's number may be someone else's.
			ended.abort();
			resolve(exitCode);
		});
	});
	const kill = (): void => {
		if (!ended.signal.aborted) killGroup(spawned.pid);
	};
	signal?.addEventListener('abort', kill, {once: true});
	if (isAborted(signal)) kill();
	if (request.timeoutMs > 0) {
		void clock.sleep(request.timeoutMs, ended.signal).then(() => {
			if (ended.signal.aborted) return;
			timedOut = true;
			kill();
		});
	}
	const exitCode = await exited;
	signal?.removeEventListener('abort', kill);
	stdout.close();
	stderr.close();
	if (isAborted(signal)) throw cancelled();
	return {exitCode, stdout: stdout.bytes(), stderr: stderr.bytes(), timedOut};
}

/** The child leads a session of its own, so its pid is its group's. */
function killGroup(pid: number): void {
	try {
		process.kill(-pid, 'SIGKILL');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}

function isAborted(signal: AbortSignal | null): boolean {
	return signal?.aborted === true;
}
