import type {ContainerStats, ContainerStatsFilter__Output, ListContainerStatsRequest__Output, ListContainerStatsResponse} from '../../proto/cri.js';
import type {ContainerRecord} from '../../runtime/container/record.js';
import {listContainers} from '../../runtime/state/query.js';
import {hasVanished, readContainerStats} from '../../runtime/stats/container-stats.js';
import type {Call} from '../call.js';
import {toContainerStats} from '../convert/stats.js';

/** ListContainerStats of what is not exited: the kubelet drops exited ones anyway, and there may be many. */
export async function handleListContainerStats(call: Call, request: ListContainerStatsRequest__Output): Promise<ListContainerStatsResponse> {
	return {stats: await readStats(call, findMeasured(call, request.filter))};
}

/** The containers that the filter fits and that are not exited. */
export function findMeasured({runtime}: Call, filter: ContainerStatsFilter__Output | null): readonly ContainerRecord[] {
	const wanted = {id: filter?.id ?? '', sandboxId: filter?.pod_sandbox_id ?? '', state: null, labels: filter?.label_selector ?? {}};
	return listContainers(runtime.state, wanted).filter(({state}) => state.phase !== 'exited');
}

/** In one pass. What ended meanwhile is left out. */
export async function readStats({runtime}: Call, records: readonly ContainerRecord[]): Promise<ContainerStats[]> {
	const facts = await readContainerStats(runtime, records);
	return records.flatMap((record, index) => {
		const found = facts[index];
		return found === undefined || hasVanished(record, found) ? [] : [toContainerStats(record, found)];
	});
}
