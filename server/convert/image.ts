import type {ImageRecord} from '../../image/image.js';
import type {Image} from '../../proto/cri.js';
import {perRecord} from './per-record.js';

export const toImage = perRecord(
	(record: ImageRecord): Image => ({
		id: record.id,
		repo_tags: [...record.repoTags],
		repo_digests: [...record.repoDigests],
		size: String(record.sizeBytes),
		...toUser(record.config.user),
		pinned: record.pinned,
	}),
);

/** USER of the image without its group: a number is uid, a name username, nothing neither (api.proto, Image). */
function toUser(user: string): Pick<Image, 'uid' | 'username'> {
	const name = user.split(':', 1)[0] ?? '';
	if (/^\d+$/.test(name)) return {uid: {value: name}, username: ''};
	return {uid: null, username: name};
}
