import type {ImageRecord} from '../../image/image.js';
import type {NamedImage} from '../../proto/admin.js';

export function toNamedImage({id, repoTags}: ImageRecord): NamedImage {
	return {id, repo_tags: [...repoTags]};
}
