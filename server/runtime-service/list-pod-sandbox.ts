import type {ListPodSandboxRequest__Output, ListPodSandboxResponse} from '../../proto/cri.js';
import {listSandboxes} from '../../runtime/state/query.js';
import type {Call} from '../call.js';
import {toSandboxFilter} from '../convert/filter.js';
import {toPodSandbox} from '../convert/sandbox.js';

/** ListPodSandbox: from memory; the kubelet calls it each second. */
export async function handleListPodSandbox({runtime}: Call, request: ListPodSandboxRequest__Output): Promise<ListPodSandboxResponse> {
	return {items: listSandboxes(runtime.state, toSandboxFilter(request.filter)).map(toPodSandbox)};
}
