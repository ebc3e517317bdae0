import type {StreamContainersRequest__Output, StreamContainersResponse} from '../../proto/cri.js';
import {listContainers} from '../../runtime/state/query.js';
import type {Call} from '../call.js';
import {chunks} from '../convert/chunks.js';
import {toContainer} from '../convert/container.js';
import {toContainerFilter} from '../convert/filter.js';

/** StreamContainers: what ListContainers answers, in messages of a bounded size. What changes meanwhile does not change what is sent. */
export async function* handleStreamContainers({runtime}: Call, request: StreamContainersRequest__Output): AsyncGenerator<StreamContainersResponse> {
	const filter = toContainerFilter(request.filter);
	if (filter === null) return;
	for (const some of chunks(listContainers(runtime.state, filter))) yield {containers: some.map(toContainer)};
}
