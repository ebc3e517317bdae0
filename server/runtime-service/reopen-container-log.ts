import type {ReopenContainerLogRequest__Output, ReopenContainerLogResponse} from '../../proto/cri.js';
import {reopenLog} from '../../runtime/container/reopen-log.js';
import type {Call} from '../call.js';
import {findContainer} from '../request.js';

/** ReopenContainerLog. The kubelet has renamed the file; the new one exists when this answers. FAILED_PRECONDITION: not running. */
export async function handleReopenContainerLog({runtime}: Call, request: ReopenContainerLogRequest__Output): Promise<ReopenContainerLogResponse> {
	const {id} = findContainer(runtime, 'container_id', request.container_id);
	await reopenLog(runtime, id);
	return {};
}
