import {TimedOutError} from '../../base/errors.js';
import type {ExecResult} from '../../native/native.js';
import type {Runtime} from '../runtime.js';
import {assertExecutable, toExecRequest} from './exec.js';

/**
 * ExecSync of the CRI: runs a command to its end. A non-zero exit is a normal result.
 *
 * @param timeoutMs 0 = none.
 * @throws {TimedOutError} the command's own process tree was killed. {SyscallError} it could not be executed.
 */
export async function execSync(runtime: Runtime, idOrPrefix: string, command: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<ExecResult> {
	const container = assertExecutable(runtime, idOrPrefix, command);
	const request = await toExecRequest(runtime, container, command, false);
	const limits = {timeoutMs, maxOutputBytes: runtime.options.maxExecOutputBytes};
	const result = await runtime.monitors.get(container.sandboxId).execSync(request, limits, signal);
	if (result.timedOut)
		throw new TimedOutError(`command ${JSON.stringify(command[0])} timed out after ${timeoutMs} ms and was killed`, {containerId: container.id, timeoutMs});
	return result;
}
