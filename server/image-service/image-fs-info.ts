import type {FilesystemUsage, ImageFsInfoRequest__Output, ImageFsInfoResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';

/**
 * ImageFsInfo: the base of the kubelet's image collection and eviction, which wants at least one entry in each list.
 * Two different mountpoints tell it that images and containers lie on different disks.
 */
export async function handleImageFsInfo({runtime}: Call, _request: ImageFsInfoRequest__Output): Promise<ImageFsInfoResponse> {
	const timestamp = String(runtime.clock.nowNs());
	const {imageFs, containerFs} = runtime.images.fsInfo();
	const toUsage = ({mountpoint, bytes, inodes}: typeof imageFs): FilesystemUsage => ({
		timestamp,
		fs_id: {mountpoint},
		used_bytes: {value: String(bytes)},
		inodes_used: {value: String(inodes)},
	});
	return {image_filesystems: [toUsage(imageFs)], container_filesystems: [toUsage(containerFs)]};
}
