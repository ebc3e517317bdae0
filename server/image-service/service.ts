import type {ImageServiceHandlers} from '../../proto/cri.js';
import type {Daemon} from '../call.js';
import {wrap, wrapStream} from '../grpc.js';
import {handleImageFsInfo} from './image-fs-info.js';
import {handleImageStatus} from './image-status.js';
import {handleListImages} from './list-images.js';
import {handlePullImage} from './pull-image.js';
import {handleRemoveImage} from './remove-image.js';
import {handleStreamImages} from './stream-images.js';

/** All 6 calls of ImageService in CRI 0.37. */
export function imageService(daemon: Daemon): ImageServiceHandlers {
	return {
		ListImages: wrap('ListImages', 'reads', daemon, handleListImages),
		StreamImages: wrapStream('StreamImages', 'reads', daemon, handleStreamImages),
		ImageStatus: wrap('ImageStatus', 'reads', daemon, handleImageStatus),
		PullImage: wrap('PullImage', 'changes', daemon, handlePullImage),
		RemoveImage: wrap('RemoveImage', 'changes', daemon, handleRemoveImage),
		ImageFsInfo: wrap('ImageFsInfo', 'reads', daemon, handleImageFsInfo),
	};
}
