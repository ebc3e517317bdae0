import type {AdminHandlers} from '../../proto/admin.js';
import type {Daemon} from '../call.js';
import {wrap} from '../grpc.js';
import {handleLoadImage} from './load-image.js';
import {handlePruneImages} from './prune-images.js';
import {handlePushImage} from './push-image.js';
import {handleSaveImages} from './save-images.js';
import {handleTagImage} from './tag-image.js';

/** All calls of admin.proto. */
export function adminService(daemon: Daemon): AdminHandlers {
	return {
		LoadImage: wrap('LoadImage', 'changes', daemon, handleLoadImage),
		SaveImages: wrap('SaveImages', 'changes', daemon, handleSaveImages),
		PushImage: wrap('PushImage', 'changes', daemon, handlePushImage),
		TagImage: wrap('TagImage', 'changes', daemon, handleTagImage),
		PruneImages: wrap('PruneImages', 'changes', daemon, handlePruneImages),
	};
}
