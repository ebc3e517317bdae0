import {FailedError, InvalidArgumentError, NotFoundError} from '../../base/errors.js';
import type {ImageRecord, Snapshot} from '../../image/image.js';
import type {MountSpec} from '../../native/native.js';
import {MountPropagation, type ContainerConfig__Output, type Mount__Output} from '../../proto/cri.js';
import type {ImageMountFacts} from '../container/record.js';

/** What the kubelet knows a failed image volume by (cri-api, pkg/errors: ErrImageVolumeMountFailed). The error must begin with it. */
const WORD = 'ImageVolumeMountFailed';

export function isImageMount({image, image_sub_path}: Pick<Mount__Output, 'image' | 'image_sub_path'>): boolean {
	return (image !== null && image.image !== '') || image_sub_path !== '';
}

/** @throws {InvalidArgumentError} naming the field and the rule. @see api.proto, Mount.image. */
export function assertImageMount(field: string, mount: Mount__Output): void {
	const {image, image_sub_path, host_path, propagation} = mount;
	const refuse = (name: string, rule: string): never => {
		throw new InvalidArgumentError(`${field}.${name}: ${rule}`, {field: `${field}.${name}`});
	};
	if (image === null || image.image === '') refuse('image_sub_path', 'is only for an image');
	if (host_path !== '') refuse('host_path', 'must be empty with an image');
	if (propagation !== MountPropagation.PROPAGATION_PRIVATE) refuse('propagation', 'an image has private propagation only');
	if (image_sub_path.startsWith('/') || image_sub_path.includes('\0') || image_sub_path.split('/').includes('..'))
		refuse('image_sub_path', `"${image_sub_path}" is not a relative path without ".."`);
}

/** An image to be mounted, and which of the config's mounts it is. */
export interface ImageMount {
	readonly index: number;
	readonly image: ImageRecord;
	readonly facts: ImageMountFacts;
}

/** @throws {NotFoundError} an image that was not pulled; {FailedError} the same in the kubelet's word. */
export function findImageMounts(images: {find(reference: string): ImageRecord | null}, config: ContainerConfig__Output): readonly ImageMount[] {
	return config.mounts.flatMap((mount, index) => {
		if (!isImageMount(mount)) return [];
		const asked = mount.image?.image ?? '';
		const image = images.find(asked);
		if (image === null) throw toFailure(`mounts[${index}].image`, new NotFoundError('image', asked));
		return [{index, image, facts: {asked, digest: image.repoDigests[0] ?? image.id, subPath: mount.image_sub_path}}];
	});
}

/** Read-only, whatever the config says; sealed against what it may hold as asked. */
export function toImageMountSpec(mount: Mount__Output, target: string, {lowerDirs, upperDir, workDir}: Snapshot): MountSpec {
	const {mount_options, image_sub_path} = mount;
	const has = (option: string): boolean => mount_options.includes(option);
	return {
		kind: 'image',
		image: mount.image?.image ?? '',
		lowerDirs,
		upperDir,
		workDir,
		subPath: image_sub_path,
		target,
		noexec: has('noexec'),
		nosuid: has('nosuid'),
		nodev: has('nodev'),
	};
}

/** In the kubelet's word. */
export function toFailure(field: string, cause: Error): FailedError {
	return new FailedError(`${WORD}: ${field}: ${cause.message}`, {field}, {cause});
}
