import {UnimplementedError} from '../base/errors.js';
import type {OpenImageStore} from './image.js';

/** The room is being built: the contract (image.ts) stands, the store does not exist yet, and the daemon says so when it starts. */
export const openImageStore: OpenImageStore = async () => {
	throw new UnimplementedError('the image store does not exist yet: this build of berth cannot serve');
};
