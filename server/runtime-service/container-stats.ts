import {NotFoundError} from '../../base/errors.js';
import type {ContainerStatsRequest__Output, ContainerStatsResponse} from '../../proto/cri.js';
import {readContainerStats} from '../../runtime/stats/container-stats.js';
import type {Call} from '../call.js';
import {toContainerStats} from '../convert/stats.js';
import {findContainer} from '../request.js';

/** ContainerStats. NOT_FOUND: no such container. Of an exited one there is what its cgroup still counts, as long as the pod keeps it, and its writable layer. */
export async function handleContainerStats({runtime}: Call, request: ContainerStatsRequest__Output): Promise<ContainerStatsResponse> {
	const record = findContainer(runtime, 'container_id', request.container_id);
	const [facts] = await readContainerStats(runtime, [record]);
	if (facts === undefined) throw new NotFoundError('container', record.id);
	return {stats: toContainerStats(record, facts)};
}
