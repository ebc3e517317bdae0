import {randomUUID} from 'node:crypto';
import {InvalidArgumentError, WrongStateError} from '../../base/errors.js';
import type {ExecRequest, ExecSession} from '../../native/native.js';
import type {Runtime} from '../runtime.js';
import {toExecProcess} from '../spec/exec.js';
import {isPaused} from './pause.js';
import {assertRunning, type ContainerRecord} from './record.js';

/** @throws {InvalidArgumentError} empty command. {NotFoundError | WrongStateError} no such container, not running, or paused. */
export function assertExecutable(runtime: Runtime, idOrPrefix: string, command: readonly string[]): ContainerRecord {
	if (command.length === 0 || command[0] === '') throw new InvalidArgumentError('cmd is empty', {field: 'cmd'});
	if (command.some(arg => arg.includes('\0'))) throw new InvalidArgumentError('cmd holds a NUL byte', {field: 'cmd'});
	const container = runtime.state.findContainer(idOrPrefix);
	assertRunning(container);
	// Frozen with the rest as soon as it joins the cgroup, it would answer nobody.
	if (isPaused(container)) throw new WrongStateError('container', container.id, 'paused', 'running');
	return container;
}

/** Exec of the CRI: starts a command with streams of the caller's. */
export async function openExec(
	runtime: Runtime,
	idOrPrefix: string,
	options: {readonly command: readonly string[]; readonly tty: boolean; readonly stdin: boolean},
): Promise<ExecSession> {
	const container = assertExecutable(runtime, idOrPrefix, options.command);
	const request = await toExecRequest(runtime, container, options.command, options.tty);
	return await runtime.monitors.get(container.sandboxId).exec({...request, stdin: options.stdin});
}

/** What the monitor needs to run `command` as the container's own process runs. */
export async function toExecRequest(runtime: Runtime, container: ContainerRecord, command: readonly string[], tty: boolean): Promise<ExecRequest> {
	const {seccompKey} = container.exec;
	const seccomp = seccompKey === null ? null : await runtime.seccomp.program(seccompKey);
	return {containerId: container.id, execId: randomUUID(), process: toExecProcess(container.exec, command, tty, seccomp), cgroupJoin: container.cgroupJoin};
}
