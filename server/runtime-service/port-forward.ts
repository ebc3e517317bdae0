import {InvalidArgumentError} from '../../base/errors.js';
import type {PortForwardRequest__Output, PortForwardResponse} from '../../proto/cri.js';
import {assertForwardable, dialSandbox} from '../../runtime/sandbox/port-forward.js';
import type {Call} from '../call.js';
import {findSandbox} from '../request.js';

const MAX_PORT = 65_535;

/**
 * PortForward. Answers with a URL on the streaming server. SPDY clients name the ports there; for WebSocket clients those of the request count.
 *
 * INVALID_ARGUMENT: a port that is none. FAILED_PRECONDITION: the pod sandbox is not ready.
 */
export async function handlePortForward({runtime, streaming}: Call, request: PortForwardRequest__Output): Promise<PortForwardResponse> {
	const record = findSandbox(runtime, 'pod_sandbox_id', request.pod_sandbox_id);
	const bad = request.port.find(port => port < 1 || port > MAX_PORT);
	if (bad !== undefined) throw new InvalidArgumentError(`port must be 1 to ${MAX_PORT}, is ${bad}`, {field: 'port'});
	assertForwardable(record);
	return {url: streaming.portForwardUrl({sandboxId: record.id, ports: request.port}, port => dialSandbox(runtime, record.id, port))};
}
