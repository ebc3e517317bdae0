import {ContainerState, type Container, type ContainerStatus, type ImageSpec, type Mount} from '../../proto/cri.js';
import type {ImageRecord} from '../../image/image.js';
import type {ContainerRecord, MountFacts} from '../../runtime/container/record.js';
import {toIdMappings, toMappingLists} from './id-mappings.js';
import {perRecord} from './per-record.js';
import {toLinuxContainerResources} from './resources.js';
import {toSignal} from './stop-signal.js';

/** `creating` never gets here: such records are neither listed nor found. */
const STATES: Readonly<Record<ContainerRecord['state']['phase'], ContainerState>> = {
	creating: ContainerState.CONTAINER_UNKNOWN,
	created: ContainerState.CONTAINER_CREATED,
	running: ContainerState.CONTAINER_RUNNING,
	exited: ContainerState.CONTAINER_EXITED,
};

/** An item of ListContainers. */
export const toContainer = perRecord(
	(record: ContainerRecord): Container => ({
		id: record.id,
		pod_sandbox_id: record.sandboxId,
		metadata: record.metadata,
		image: toImageSpec(record, record.image.asked),
		image_ref: record.image.id,
		image_id: record.image.id,
		state: STATES[record.state.phase],
		created_at: String(record.createdAtNs),
		labels: record.labels,
		annotations: record.annotations,
	}),
);

/**
 * @param image The container's image as the store has it now, null when it is gone. The kubelet creates containers by image id and shows
 *   people what status.image says: so that is a name, where there is one.
 */
export function toContainerStatus(record: ContainerRecord, image: ImageRecord | null): ContainerStatus {
	return {...toUnnamedStatus(record), image: toImageSpec(record, toImageName(record, image))};
}

const toUnnamedStatus = perRecord((record: ContainerRecord): ContainerStatus => {
	const {state} = record;
	const exited = state.phase === 'exited' ? state : null;
	return {
		id: record.id,
		metadata: record.metadata,
		state: STATES[state.phase],
		created_at: String(record.createdAtNs),
		started_at: state.phase === 'running' || state.phase === 'exited' ? String(state.startedAtNs) : '0',
		finished_at: exited === null ? '0' : String(exited.finishedAtNs),
		exit_code: exited?.exitCode ?? 0,
		reason: exited?.reason ?? '',
		message: exited?.message ?? '',
		image_ref: record.image.id,
		image_id: record.image.id,
		labels: record.labels,
		annotations: record.annotations,
		mounts: record.mounts.map(toMount),
		log_path: record.logPath,
		resources: {linux: toLinuxContainerResources(record.resources)},
		user: {linux: {uid: record.user.uid, gid: record.user.gid, supplemental_groups: [...record.user.supplementalGids]}},
		stop_signal: toSignal(record.stopSignal),
	};
});

function toImageSpec(record: ContainerRecord, image: string): ImageSpec {
	return {image, user_specified_image: record.image.userSpecified};
}

/** The tag that the user wrote, when the image has it; else its first tag or digest; else what was asked for. */
function toImageName(record: ContainerRecord, image: ImageRecord | null): string {
	if (image === null) return record.image.asked;
	for (const wish of [record.image.userSpecified, record.image.asked]) {
		const tag = wish === '' ? undefined : image.repoTags.find(name => name === wish || name.endsWith(`/${wish}`));
		if (tag !== undefined) return tag;
	}
	return image.repoTags[0] ?? image.repoDigests[0] ?? record.image.asked;
}

function toMount(mount: MountFacts): Mount {
	const ids = mount.idMaps ? toMappingLists(mount.idMaps) : mount.idMapping ? toIdMappings(mount.idMapping) : null;
	return {
		container_path: mount.containerPath,
		host_path: mount.hostPath,
		readonly: mount.readonly,
		selinux_relabel: mount.selinuxRelabel,
		propagation: mount.propagation,
		recursive_read_only: mount.recursiveReadOnly,
		mount_options: [...mount.mountOptions],
		...(ids === null ? {} : {uidMappings: ids.uids, gidMappings: ids.gids}),
		...(mount.image ? {image: {image: mount.image.asked, image_ref: mount.image.digest}, image_sub_path: mount.image.subPath} : {}),
	};
}
