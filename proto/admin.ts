/** Types of berth's own messages (admin.proto). X is what may be sent, X__Output what is received. */
export type {AdminClient, AdminHandlers} from './gen/berth/admin/v1/Admin.js';
export type {LoadedImage} from './gen/berth/admin/v1/LoadedImage.js';
export type {LoadImageRequest, LoadImageRequest__Output} from './gen/berth/admin/v1/LoadImageRequest.js';
export type {LoadImageResponse, LoadImageResponse__Output} from './gen/berth/admin/v1/LoadImageResponse.js';
