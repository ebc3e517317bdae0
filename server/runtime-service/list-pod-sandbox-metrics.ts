import type {ListPodSandboxMetricsResponse, PodSandboxMetrics} from '../../proto/cri.js';
import type {SandboxRecord} from '../../runtime/sandbox/record.js';
import {listSandboxes} from '../../runtime/state/query.js';
import {findHugepageSizes} from '../../runtime/stats/metrics/hugepage-sizes.js';
import {readSandboxMetrics} from '../../runtime/stats/metrics/sandbox-metrics.js';
import type {Call} from '../call.js';
import {toPodMetrics} from '../convert/metrics.js';

/** ListPodSandboxMetrics of the pods that are ready. */
export async function handleListPodSandboxMetrics(call: Call): Promise<ListPodSandboxMetricsResponse> {
	return {pod_metrics: await readPodMetrics(call, listReady(call))};
}

export function listReady({runtime}: Call): readonly SandboxRecord[] {
	return listSandboxes(runtime.state, {id: '', state: 'ready', labels: {}});
}

/** In one pass. Pods that were stopped meanwhile are left out. */
export async function readPodMetrics({runtime}: Call, records: readonly SandboxRecord[]): Promise<PodSandboxMetrics[]> {
	const options = {groups: runtime.options.podMetrics, hugepageSizes: await findHugepageSizes()};
	const facts = await readSandboxMetrics(runtime, options, records);
	return records.flatMap((record, index) => {
		const found = facts[index];
		return found === undefined || runtime.state.sandbox(record.id)?.state.phase !== 'ready' ? [] : [toPodMetrics(record, found)];
	});
}
