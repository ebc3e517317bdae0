import {InvalidArgumentError} from '../../base/errors.js';
import type {AttachRequest__Output, AttachResponse} from '../../proto/cri.js';
import {openAttach} from '../../runtime/container/attach.js';
import {assertAttachable} from '../../runtime/container/record.js';
import type {Call} from '../call.js';
import {findContainer} from '../request.js';

/**
 * Attach. Answers with a URL on the streaming server; the client is attached when it connects there. What it says of `tty` counts for its own streams only, as
 * with the peers: the container's terminal, or that it has none, was settled when it was created.
 *
 * INVALID_ARGUMENT: no stream asked for, or stderr with a tty (api.proto, AttachRequest). FAILED_PRECONDITION: exited.
 */
export async function handleAttach({runtime, streaming}: Call, request: AttachRequest__Output): Promise<AttachResponse> {
	const {tty, stdin, stdout, stderr} = request;
	if (!stdin && !stdout && !stderr) throw new InvalidArgumentError('one of stdin, stdout and stderr must be set', {field: 'stdout'});
	if (tty && stderr) throw new InvalidArgumentError('stderr must be false when tty is true: a terminal has one output', {field: 'stderr'});
	const container = findContainer(runtime, 'container_id', request.container_id);
	assertAttachable(container);
	const {id: containerId, stdinOnce} = container;
	return {url: streaming.attachUrl({containerId, stdinOnce, tty, stdin, stdout, stderr}, () => openAttach(runtime, containerId, {stdin, stdout, stderr}))};
}
