import type {ListPodSandboxStatsRequest__Output, ListPodSandboxStatsResponse, PodSandboxStats, PodSandboxStatsFilter__Output} from '../../proto/cri.js';
import type {SandboxRecord} from '../../runtime/sandbox/record.js';
import {listSandboxes} from '../../runtime/state/query.js';
import {readSandboxStats} from '../../runtime/stats/sandbox-stats.js';
import type {Call} from '../call.js';
import {toSandboxStats} from '../convert/stats.js';

/** ListPodSandboxStats of the pods that are ready: a stopped one uses nothing. */
export async function handleListPodSandboxStats(call: Call, request: ListPodSandboxStatsRequest__Output): Promise<ListPodSandboxStatsResponse> {
	return {stats: await readReadyPodStats(call, findMeasured(call, request.filter))};
}

/** The ready pod sandboxes that the filter fits. */
export function findMeasured({runtime}: Call, filter: PodSandboxStatsFilter__Output | null): readonly SandboxRecord[] {
	return listSandboxes(runtime.state, {id: filter?.id ?? '', state: 'ready', labels: filter?.label_selector ?? {}});
}

/** The same, without those that were stopped meanwhile. */
export async function readReadyPodStats(call: Call, records: readonly SandboxRecord[]): Promise<PodSandboxStats[]> {
	const stats = await readPodStats(call, records);
	return stats.filter((_, index) => call.runtime.state.sandbox(records[index]?.id ?? '')?.state.phase === 'ready');
}

/** In one pass, in the order of the records. */
export async function readPodStats({runtime}: Call, records: readonly SandboxRecord[]): Promise<PodSandboxStats[]> {
	const facts = await readSandboxStats(runtime, records);
	return records.flatMap((record, index) => {
		const found = facts[index];
		return found === undefined ? [] : [toSandboxStats(record, found, id => runtime.state.container(id))];
	});
}
