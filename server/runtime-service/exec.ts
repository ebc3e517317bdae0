import {InvalidArgumentError} from '../../base/errors.js';
import type {ExecRequest__Output, ExecResponse} from '../../proto/cri.js';
import {assertExecutable, openExec} from '../../runtime/container/exec.js';
import type {Call} from '../call.js';
import {requireText} from '../request.js';

/**
 * Exec. Answers with a URL on the streaming server; the command starts when the client connects there.
 *
 * INVALID_ARGUMENT: no stream asked for, or stderr with a tty (api.proto, ExecRequest). FAILED_PRECONDITION: not running.
 */
export async function handleExec({runtime, streaming}: Call, request: ExecRequest__Output): Promise<ExecResponse> {
	const {cmd: command, tty, stdin, stdout, stderr} = request;
	if (!stdin && !stdout && !stderr) throw new InvalidArgumentError('one of stdin, stdout and stderr must be set', {field: 'stdout'});
	if (tty && stderr) throw new InvalidArgumentError('stderr must be false when tty is true: a terminal has one output', {field: 'stderr'});
	const {id} = assertExecutable(runtime, requireText('container_id', request.container_id), command);
	const url = streaming.execUrl({containerId: id, command, tty, stdin, stdout, stderr}, () => openExec(runtime, id, {command, tty, stdin}));
	return {url};
}
