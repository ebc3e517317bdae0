import type {ListContainerStatsRequest__Output, ListContainerStatsResponse} from '../../proto/cri.js';
import {listContainers} from '../../runtime/state/query.js';
import {readContainerStats} from '../../runtime/stats/container-stats.js';
import type {Call} from '../call.js';
import {toContainerStats} from '../convert/stats.js';

/** ListContainerStats of what is not exited: the kubelet drops exited ones anyway, and there may be many. */
export async function handleListContainerStats({runtime}: Call, request: ListContainerStatsRequest__Output): Promise<ListContainerStatsResponse> {
	const {filter} = request;
	const wanted = {id: filter?.id ?? '', sandboxId: filter?.pod_sandbox_id ?? '', state: null, labels: filter?.label_selector ?? {}};
	const records = listContainers(runtime.state, wanted).filter(({state}) => state.phase !== 'exited');
	const facts = new Map((await readContainerStats(runtime, records)).map(fact => [fact.containerId, fact]));
	return {
		stats: records.flatMap(record => {
			const fact = facts.get(record.id);
			return fact === undefined ? [] : [toContainerStats(record, fact)];
		}),
	};
}
