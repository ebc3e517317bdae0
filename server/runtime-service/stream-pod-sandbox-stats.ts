import type {StreamPodSandboxStatsRequest__Output, StreamPodSandboxStatsResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {findMeasured, readReadyPodStats} from './list-pod-sandbox-stats.js';

/** Pods per message: some 100 KB where each has a few containers. */
const CHUNK_PODS = 50;

/** StreamPodSandboxStats: what ListPodSandboxStats answers, in messages of a bounded size, each read when the one before is sent. */
export async function* handleStreamPodSandboxStats(call: Call, request: StreamPodSandboxStatsRequest__Output): AsyncGenerator<StreamPodSandboxStatsResponse> {
	const records = findMeasured(call, request.filter);
	for (let start = 0; start < records.length; start += CHUNK_PODS)
		yield {pod_sandbox_stats: await readReadyPodStats(call, records.slice(start, start + CHUNK_PODS))};
}
