import type {StreamContainerStatsRequest__Output, StreamContainerStatsResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {findMeasured, readStats} from './list-container-stats.js';

/** Containers per message: some 100 KB, far below a message's limit whatever their labels and annotations. */
const CHUNK_CONTAINERS = 100;

/** StreamContainerStats: what ListContainerStats answers, in messages of a bounded size, each read when the one before is sent. */
export async function* handleStreamContainerStats(call: Call, request: StreamContainerStatsRequest__Output): AsyncGenerator<StreamContainerStatsResponse> {
	const records = findMeasured(call, request.filter);
	for (let start = 0; start < records.length; start += CHUNK_CONTAINERS)
		yield {container_stats: await readStats(call, records.slice(start, start + CHUNK_CONTAINERS))};
}
