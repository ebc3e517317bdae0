import type {StreamPodSandboxMetricsResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {listReady, readPodMetrics} from './list-pod-sandbox-metrics.js';

/** Pods per message: some 500 KB where each has a few containers, which have about 70 values each. */
const CHUNK_PODS = 20;

/** StreamPodSandboxMetrics: what ListPodSandboxMetrics answers, in messages of a bounded size, each read when the one before is sent. */
export async function* handleStreamPodSandboxMetrics(call: Call): AsyncGenerator<StreamPodSandboxMetricsResponse> {
	const records = listReady(call);
	for (let start = 0; start < records.length; start += CHUNK_PODS)
		yield {pod_sandbox_metrics: await readPodMetrics(call, records.slice(start, start + CHUNK_PODS))};
}
