import type {IdMapRange, IdMaps, IdRange, UserNamespaceSpec} from '../../native/native.js';
import type {IDMapping} from '../../proto/cri.js';

/** The lists of a UserNamespace of the CRI. */
export function toIdMappings({uids, gids}: UserNamespaceSpec): {uids: IDMapping[]; gids: IDMapping[]} {
	return {uids: [toIdMapping(uids)], gids: [toIdMapping(gids)]};
}

function toIdMapping({first, count}: IdRange): IDMapping {
	return {host_id: first, container_id: 0, length: count};
}

/** The lists of a Mount of the CRI. */
export function toMappingLists({uids, gids}: IdMaps): {uids: IDMapping[]; gids: IDMapping[]} {
	const toList = (ranges: readonly IdMapRange[]): IDMapping[] =>
		ranges.map(({inside, outside, count}) => ({container_id: inside, host_id: outside, length: count}));
	return {uids: toList(uids), gids: toList(gids)};
}
