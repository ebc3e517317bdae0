import type {AdminHandlers} from '../../proto/admin.js';
import type {Daemon} from '../call.js';
import {wrap} from '../grpc.js';
import {handleLoadImage} from './load-image.js';
import {handlePause} from './pause.js';
import {handlePruneImages} from './prune-images.js';
import {handlePushImage} from './push-image.js';
import {handleSaveImages} from './save-images.js';
import {handleTagImage} from './tag-image.js';
import {handleUnpause} from './unpause.js';

/** All calls of admin.proto. */
export function adminService(daemon: Daemon): AdminHandlers {
	return {
		LoadImage: wrap('LoadImage', 'changes', daemon, handleLoadImage),
		SaveImages: wrap('SaveImages', 'changes', daemon, handleSaveImages),
		PushImage: wrap('PushImage', 'changes', daemon, handlePushImage),
		TagImage: wrap('TagImage', 'changes', daemon, handleTagImage),
		Pause: wrap('Pause', 'changes', daemon, handlePause),
		Unpause: wrap('Unpause', 'changes', daemon, handleUnpause),
		PruneImages: wrap('PruneImages', 'changes', daemon, handlePruneImages),
	};
}
