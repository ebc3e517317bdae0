import type {IdRange, UserNamespaceSpec} from '../../native/native.js';
import type {IDMapping} from '../../proto/cri.js';

/** The lists of a UserNamespace of the CRI. */
export function toIdMappings({uids, gids}: UserNamespaceSpec): {uids: IDMapping[]; gids: IDMapping[]} {
	return {uids: [toIdMapping(uids)], gids: [toIdMapping(gids)]};
}

function toIdMapping({first, count}: IdRange): IDMapping {
	return {host_id: first, container_id: 0, length: count};
}
