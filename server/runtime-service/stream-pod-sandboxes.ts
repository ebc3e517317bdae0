import type {StreamPodSandboxesRequest__Output, StreamPodSandboxesResponse} from '../../proto/cri.js';
import {listSandboxes} from '../../runtime/state/query.js';
import type {Call} from '../call.js';
import {chunks} from '../convert/chunks.js';
import {toSandboxFilter} from '../convert/filter.js';
import {toPodSandbox} from '../convert/sandbox.js';

/** StreamPodSandboxes: what ListPodSandbox answers, in messages of a bounded size. What changes meanwhile does not change what is sent. */
export async function* handleStreamPodSandboxes({runtime}: Call, request: StreamPodSandboxesRequest__Output): AsyncGenerator<StreamPodSandboxesResponse> {
	for (const some of chunks(listSandboxes(runtime.state, toSandboxFilter(request.filter)))) yield {pod_sandboxes: some.map(toPodSandbox)};
}
