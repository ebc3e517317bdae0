import type {ListContainersRequest__Output, ListContainersResponse} from '../../proto/cri.js';
import {listContainers} from '../../runtime/state/query.js';
import type {Call} from '../call.js';
import {toContainer} from '../convert/container.js';
import {toContainerFilter} from '../convert/filter.js';

/** ListContainers: from memory; the kubelet calls it each second. */
export async function handleListContainers({runtime}: Call, request: ListContainersRequest__Output): Promise<ListContainersResponse> {
	const filter = toContainerFilter(request.filter);
	return {containers: filter === null ? [] : listContainers(runtime.state, filter).map(toContainer)};
}
