/** Types of berth's own messages (admin.proto). X is what may be sent, X__Output what is received. */
export type {AdminClient, AdminHandlers} from './gen/berth/admin/v1/Admin.js';
export type {NamedImage, NamedImage__Output} from './gen/berth/admin/v1/NamedImage.js';
export type {Credentials, Credentials__Output} from './gen/berth/admin/v1/Credentials.js';
export type {LoadImageRequest, LoadImageRequest__Output} from './gen/berth/admin/v1/LoadImageRequest.js';
export type {LoadImageResponse, LoadImageResponse__Output} from './gen/berth/admin/v1/LoadImageResponse.js';
export type {SaveImagesRequest, SaveImagesRequest__Output} from './gen/berth/admin/v1/SaveImagesRequest.js';
export type {SaveImagesResponse, SaveImagesResponse__Output} from './gen/berth/admin/v1/SaveImagesResponse.js';
export type {PushImageRequest, PushImageRequest__Output} from './gen/berth/admin/v1/PushImageRequest.js';
export type {PushImageResponse, PushImageResponse__Output} from './gen/berth/admin/v1/PushImageResponse.js';
export type {TagImageRequest, TagImageRequest__Output} from './gen/berth/admin/v1/TagImageRequest.js';
export type {TagImageResponse, TagImageResponse__Output} from './gen/berth/admin/v1/TagImageResponse.js';
export type {PruneImagesRequest, PruneImagesRequest__Output} from './gen/berth/admin/v1/PruneImagesRequest.js';
export type {PruneImagesResponse, PruneImagesResponse__Output} from './gen/berth/admin/v1/PruneImagesResponse.js';
export type {PauseRequest, PauseRequest__Output} from './gen/berth/admin/v1/PauseRequest.js';
export type {PauseResponse, PauseResponse__Output} from './gen/berth/admin/v1/PauseResponse.js';
export type {UnpauseRequest, UnpauseRequest__Output} from './gen/berth/admin/v1/UnpauseRequest.js';
export type {UnpauseResponse, UnpauseResponse__Output} from './gen/berth/admin/v1/UnpauseResponse.js';
