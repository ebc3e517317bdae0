import type {PortForwardRequest__Output, PortForwardResponse} from '../../proto/cri.js';
import {assertForwardable, dialSandbox} from '../../runtime/sandbox/port-forward.js';
import type {Call} from '../call.js';
import {findSandbox} from '../request.js';

/** PortForward. Answers with a URL on the streaming server; the client names the ports there. FAILED_PRECONDITION: the pod sandbox is not ready. */
export async function handlePortForward({runtime, streaming}: Call, request: PortForwardRequest__Output): Promise<PortForwardResponse> {
	const record = findSandbox(runtime, 'pod_sandbox_id', request.pod_sandbox_id);
	assertForwardable(record);
	return {url: streaming.portForwardUrl(record.id, port => dialSandbox(runtime, record.id, port))};
}
