import type {AdminHandlers} from '../../proto/admin.js';
import type {Daemon} from '../call.js';
import {wrap} from '../grpc.js';
import {handleLoadImage} from './load-image.js';

/** All calls of admin.proto. */
export function adminService(daemon: Daemon): AdminHandlers {
	return {LoadImage: wrap('LoadImage', 'changes', daemon, handleLoadImage)};
}
