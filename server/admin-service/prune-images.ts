import type {ImageRecord} from '../../image/image.js';
import type {PruneImagesRequest__Output, PruneImagesResponse} from '../../proto/admin.js';
import type {Call} from '../call.js';
import {toNamedImage} from './named-image.js';

/** PruneImages of admin.proto: what no container uses, running or not. Pinned images stay. */
export async function handlePruneImages({runtime}: Call, {all}: PruneImagesRequest__Output): Promise<PruneImagesResponse> {
	const used = new Set([...runtime.state.containers()].map(({image}) => image.id));
	const unused = runtime.images.list().filter(({id, pinned, repoTags}) => !used.has(id) && !pinned && (all || repoTags.length === 0));
	const before = runtime.images.fsInfo().imageFs.bytes;
	const removed: ImageRecord[] = [];
	for (const image of unused) {
		await runtime.images.remove(image.id);
		removed.push(image);
	}
	return {removed: removed.map(toNamedImage), freed_bytes: String(Math.max(0, before - runtime.images.fsInfo().imageFs.bytes))};
}
