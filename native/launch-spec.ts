import path from 'node:path';
import type {CgroupPlan, LaunchSpec, MonitorRequest, MountSpec, ProcessSpec, UserSpec} from './native.js';
import type {BodyWriter} from './protocol.js';
import {CGROUP_NAMESPACE, GROUPS_POLICY, MOUNT_KIND, PID_NAMESPACE, POD_NAMESPACE, PROPAGATION, STDIN, TAG} from './protocol-numbers.js';

const PROPAGATIONS = {private: PROPAGATION.PRIVATE, slave: PROPAGATION.SLAVE, shared: PROPAGATION.SHARED} as const;
const PID_NAMESPACES = {new: PID_NAMESPACE.NEW, pod: PID_NAMESPACE.POD, host: PID_NAMESPACE.HOST} as const;

/** The body of CREATE_MONITOR. */
export function writeMonitorRequest(body: BodyWriter, request: MonitorRequest): BodyWriter {
	const {network, ipc, uts, pid} = request.namespaces;
	body.string(TAG.SANDBOX_ID, request.sandboxId);
	body.u32(
		TAG.NAMESPACES,
		(network ? POD_NAMESPACE.NETWORK : 0) | (ipc ? POD_NAMESPACE.IPC : 0) | (uts ? POD_NAMESPACE.UTS : 0) | (pid ? POD_NAMESPACE.PID : 0),
	);
	if (request.hostname !== null) body.string(TAG.HOSTNAME, request.hostname);
	for (const [name, value] of request.sysctls) body.group(TAG.SYSCTL, it => it.string(TAG.NAME, name).string(TAG.VALUE, value));
	if (request.shmSizeBytes !== null) body.u64(TAG.SHM_SIZE_BYTES, BigInt(request.shmSizeBytes));
	if (request.userNamespace !== null) {
		const {uids, gids} = request.userNamespace;
		body.group(TAG.USER_NAMESPACE, it =>
			it.u32(TAG.FIRST_UID, uids.first).u32(TAG.UID_COUNT, uids.count).u32(TAG.FIRST_GID, gids.first).u32(TAG.GID_COUNT, gids.count),
		);
	}
	return writeCgroup(body, request.cgroup);
}

/** Host paths of a launch that the daemon opens: the bind mounts' sources in order, then the log's directory. */
export function launchFiles(spec: LaunchSpec): {readonly sources: readonly string[]; readonly recursive: Uint8Array; readonly logDir: string} {
	const binds = spec.mounts.filter(mount => mount.kind === 'bind');
	return {
		sources: binds.map(mount => mount.source),
		recursive: Uint8Array.from(binds, mount => (mount.recursive ? 1 : 0)),
		logDir: spec.log === null ? '' : path.dirname(spec.log.path),
	};
}

/** The body of CREATE_CONTAINER. Descriptor indexes count as launchFiles() orders them. */
export function writeLaunchSpec(body: BodyWriter, spec: LaunchSpec): BodyWriter {
	body.string(TAG.CONTAINER_ID, spec.containerId);
	const {pid, cgroup} = spec.namespaces;
	if (typeof pid === 'string') body.u32(TAG.PID_NAMESPACE, PID_NAMESPACES[pid]);
	else body.u32(TAG.PID_NAMESPACE, PID_NAMESPACE.TARGET).u32(TAG.TARGET_PID, pid.pid);
	body.u32(TAG.CGROUP_NAMESPACE, cgroup === 'new' ? CGROUP_NAMESPACE.NEW : CGROUP_NAMESPACE.HOST);
	writeCgroup(body, spec.cgroup);
	writeFiles(body, spec);
	let fdCount = 0;
	for (const mount of spec.mounts) body.group(TAG.MOUNT, it => writeMount(it, mount, mount.kind === 'bind' ? fdCount++ : -1));
	if (spec.log !== null) {
		const {path: logPath, maxLineBytes} = spec.log;
		body.group(TAG.LOG, it => it.u32(TAG.LOG_DIR_FD, fdCount).string(TAG.NAME, path.basename(logPath)).u32(TAG.MAX_LINE_BYTES, maxLineBytes));
	}
	body.u32(TAG.STDIN, spec.stdin === 'pipe' ? STDIN.PIPE : STDIN.NULL);
	return writeProcess(body, spec.process);
}

function writeFiles(body: BodyWriter, spec: LaunchSpec): void {
	const {rootfs} = spec;
	body.group(TAG.ROOTFS, it =>
		it
			.strings(TAG.LOWER_DIR, rootfs.lowerDirs)
			.string(TAG.UPPER_DIR, rootfs.upperDir)
			.string(TAG.WORK_DIR, rootfs.workDir)
			.bool(TAG.READONLY, rootfs.readonly)
			.u32(TAG.PROPAGATION, PROPAGATIONS[rootfs.propagation]),
	);
	for (const device of spec.devices) {
		body.group(TAG.DEVICE, it =>
			it
				.string(TAG.PATH, device.path)
				.u32(TAG.DEVICE_TYPE, device.type.charCodeAt(0))
				.u32(TAG.MAJOR, device.major)
				.u32(TAG.MINOR, device.minor)
				.u32(TAG.MODE, device.mode)
				.u32(TAG.UID, device.uid)
				.u32(TAG.GID, device.gid),
		);
	}
	for (const [link, target] of spec.symlinks) body.group(TAG.SYMLINK, it => it.string(TAG.PATH, link).string(TAG.TARGET, target));
	body.strings(TAG.MASKED_PATH, spec.maskedPaths).strings(TAG.READONLY_PATH, spec.readonlyPaths).strings(TAG.VOLUME_DIR, spec.volumeDirs);
}

function writeMount(body: BodyWriter, mount: MountSpec, fdIndex: number): void {
	body.string(TAG.TARGET, mount.target);
	switch (mount.kind) {
		case 'filesystem':
			body.u32(TAG.MOUNT_KIND, MOUNT_KIND.FILESYSTEM).string(TAG.FSTYPE, mount.fstype);
			body.u32(TAG.MOUNT_FLAGS, mount.flags).string(TAG.MOUNT_DATA, mount.data);
			return;
		case 'bind':
			body.u32(TAG.MOUNT_KIND, MOUNT_KIND.BIND).u32(TAG.MOUNT_FD, fdIndex);
			body.bool(TAG.READONLY, mount.readonly).bool(TAG.RECURSIVE_READONLY, mount.recursiveReadOnly);
			body.bool(TAG.NOEXEC, mount.noexec).bool(TAG.NOSUID, mount.nosuid).bool(TAG.NODEV, mount.nodev);
			body.u32(TAG.PROPAGATION, PROPAGATIONS[mount.propagation]);
			if (mount.idMapped) body.bool(TAG.ID_MAPPED, true).string(TAG.PATH, mount.source);
			return;
		case 'shm':
			body.u32(TAG.MOUNT_KIND, MOUNT_KIND.SHM);
			return;
		case 'cgroup':
			body.u32(TAG.MOUNT_KIND, MOUNT_KIND.CGROUP).bool(TAG.READONLY, mount.readonly);
			for (const {name, fstype, options} of mount.hierarchies) {
				body.group(TAG.HIERARCHY, it => it.string(TAG.NAME, name).string(TAG.FSTYPE, fstype).string(TAG.MOUNT_DATA, options));
			}
	}
}

/** TAG_CGROUP. */
export function writeCgroup(body: BodyWriter, plan: CgroupPlan): BodyWriter {
	return body.group(TAG.CGROUP, it => {
		it.strings(TAG.CGROUP_DIR, plan.dirs);
		for (const write of plan.writes) {
			it.group(TAG.CGROUP_WRITE, one => one.string(TAG.PATH, write.path).string(TAG.VALUE, write.value).bool(TAG.REQUIRED, write.required));
		}
		it.strings(TAG.CGROUP_JOIN, plan.join);
	});
}

/** TAG_PROCESS. */
export function writeProcess(body: BodyWriter, process: ProcessSpec): BodyWriter {
	return body.group(TAG.PROCESS, it => {
		it.strings(TAG.ARG, process.args);
		for (const entry of process.env) it.bytes(TAG.ENV, entry);
		it.string(TAG.CWD, process.cwd);
		it.group(TAG.USER, user => writeUser(user, process.user));
		const {bounding, effective, permitted, inheritable, ambient} = process.capabilities;
		it.group(TAG.CAPABILITIES, sets =>
			sets.u64(TAG.BOUNDING, bounding).u64(TAG.EFFECTIVE, effective).u64(TAG.PERMITTED, permitted).u64(TAG.INHERITABLE, inheritable).u64(TAG.AMBIENT, ambient),
		);
		it.bool(TAG.NO_NEW_PRIVILEGES, process.noNewPrivileges);
		for (const {resource, soft, hard} of process.rlimits) {
			it.group(TAG.RLIMIT, limit => limit.u32(TAG.RESOURCE, resource).u64(TAG.SOFT, soft).u64(TAG.HARD, hard));
		}
		if (process.oomScoreAdj !== null) it.u32(TAG.OOM_SCORE_ADJ, process.oomScoreAdj);
		if (process.seccomp !== null) it.bytes(TAG.SECCOMP, process.seccomp);
		it.bool(TAG.TTY, process.tty);
	});
}

function writeUser(body: BodyWriter, user: UserSpec): void {
	body.string(TAG.USER_SPEC, user.spec);
	if (user.uid !== null) body.u32(TAG.UID, user.uid);
	if (user.gid !== null) body.u32(TAG.GID, user.gid);
	for (const gid of user.supplementalGids) body.u32(TAG.SUPPLEMENTAL_GID, gid);
	body.u32(TAG.GROUPS_POLICY, user.groupsPolicy === 'strict' ? GROUPS_POLICY.STRICT : GROUPS_POLICY.MERGE);
}
