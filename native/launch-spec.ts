import path from 'node:path';
import type {CgroupPlan, IdMaps, LaunchSpec, MonitorRequest, MountSpec, OciLaunch, OciText, ProcessSpec, RootfsSpec, TimeOffsets, UserSpec} from './native.js';
import type {BodyWriter} from './protocol.js';
import {CGROUP_NAMESPACE, GROUPS_POLICY, MOUNT_KIND, OCI_INSERT, PID_NAMESPACE, POD_NAMESPACE, PROPAGATION, STDIN, TAG} from './protocol-numbers.js';

const NS_PER_S = 1_000_000_000n;
const PROPAGATIONS = {private: PROPAGATION.PRIVATE, slave: PROPAGATION.SLAVE, shared: PROPAGATION.SHARED} as const;
const PID_NAMESPACES = {new: PID_NAMESPACE.NEW, pod: PID_NAMESPACE.POD, host: PID_NAMESPACE.HOST} as const;

/** BPF_PROG_TYPE_CGROUP_DEVICE and BPF_CGROUP_DEVICE; BPF_PROG_TYPE_CGROUP_SKB and BPF_CGROUP_INET_EGRESS (include/uapi/linux/bpf.h). */
const PROGRAM_TYPES = {device: {program: 15, attach: 6}, egress: {program: 8, attach: 1}} as const;

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
	if (request.mountLabel !== null) body.string(TAG.MOUNT_LABEL, request.mountLabel);
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
	if (spec.mountLabel !== null) body.string(TAG.MOUNT_LABEL, spec.mountLabel);
	if (spec.timeOffsets !== null) writeTimeOffsets(body, spec.timeOffsets);
	return writeProcess(body, spec.process);
}

/** TAG_OCI of a container. @param namespaceFd index of the mount namespace's descriptor. */
export function writeOciLaunch(body: BodyWriter, oci: OciLaunch, namespaceFd: number): BodyWriter {
	return body.group(TAG.OCI, it => {
		it.string(TAG.PATH, oci.binaryPath).strings(TAG.OCI_ARG, oci.options).u32(TAG.OCI_TIMEOUT_MS, oci.timeoutMs).u32(TAG.OCI_NAMESPACE_FD, namespaceFd);
		writeOciText(it, oci.config);
	});
}

/** TAG_OCI of an exec. */
export function writeOciExec(body: BodyWriter, process: OciText): BodyWriter {
	return body.group(TAG.OCI, it => void writeOciText(it, process));
}

const INSERTS = {bundle: OCI_INSERT.BUNDLE, user: OCI_INSERT.USER, home: OCI_INSERT.HOME, mountOptions: OCI_INSERT.MOUNT_OPTIONS} as const;

function writeOciText(body: BodyWriter, pieces: OciText): void {
	for (const {text, insert} of pieces) {
		body.group(TAG.OCI_CONFIG, it => it.bytes(TAG.OCI_TEXT, Buffer.from(text)).u32(TAG.OCI_INSERT, insert === null ? OCI_INSERT.NOTHING : INSERTS[insert]));
	}
}

export function writeRootfs(body: BodyWriter, rootfs: RootfsSpec): BodyWriter {
	return body.group(TAG.ROOTFS, it =>
		it
			.strings(TAG.LOWER_DIR, rootfs.lowerDirs)
			.string(TAG.UPPER_DIR, rootfs.upperDir)
			.string(TAG.WORK_DIR, rootfs.workDir)
			.bool(TAG.READONLY, rootfs.readonly)
			.u32(TAG.PROPAGATION, PROPAGATIONS[rootfs.propagation]),
	);
}

function writeFiles(body: BodyWriter, spec: LaunchSpec): void {
	writeRootfs(body, spec.rootfs);
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
			if (mount.idMaps !== null) writeIdMaps(body, mount.idMaps);
			else if (mount.idMapped) body.bool(TAG.ID_MAPPED, true);
			if (mount.idMaps !== null || mount.idMapped) body.string(TAG.PATH, mount.source);
			return;
		case 'image':
			body.u32(TAG.MOUNT_KIND, MOUNT_KIND.IMAGE).string(TAG.PATH, mount.image);
			body.strings(TAG.LOWER_DIR, mount.lowerDirs).string(TAG.UPPER_DIR, mount.upperDir).string(TAG.WORK_DIR, mount.workDir);
			if (mount.subPath !== '') body.string(TAG.SUB_PATH, mount.subPath);
			body.bool(TAG.NOEXEC, mount.noexec).bool(TAG.NOSUID, mount.nosuid).bool(TAG.NODEV, mount.nodev);
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

function writeIdMaps(body: BodyWriter, {uids, gids}: IdMaps): void {
	for (const [tag, ranges] of [
		[TAG.UID_MAP, uids],
		[TAG.GID_MAP, gids],
	] as const)
		for (const {inside, outside, count} of ranges) body.group(tag, it => it.u32(TAG.INSIDE_ID, inside).u32(TAG.OUTSIDE_ID, outside).u32(TAG.ID_COUNT, count));
}

/** Numbers of the kernel's clocks (clock_gettime(2)). */
const CLOCKS = {monotonic: 1, boottime: 7} as const;

function writeTimeOffsets(body: BodyWriter, {monotonicNs, boottimeNs}: TimeOffsets): void {
	for (const [clock, offsetNs] of [
		[CLOCKS.monotonic, monotonicNs],
		[CLOCKS.boottime, boottimeNs],
	] as const) {
		// Nanoseconds are never negative: -0.5 s is -1 s and 500,000,000 ns.
		const nanoseconds = ((offsetNs % NS_PER_S) + NS_PER_S) % NS_PER_S;
		body.group(TAG.TIME_OFFSET, it =>
			it
				.u32(TAG.CLOCK, clock)
				.u64(TAG.SECONDS, (offsetNs - nanoseconds) / NS_PER_S)
				.u32(TAG.NANOSECONDS, Number(nanoseconds)),
		);
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
		for (const {dir, kind, instructions} of plan.programs ?? []) {
			const {program, attach} = PROGRAM_TYPES[kind];
			it.group(TAG.CGROUP_PROGRAM, one =>
				one.string(TAG.PATH, dir).u32(TAG.PROGRAM_TYPE, program).u32(TAG.ATTACH_TYPE, attach).bytes(TAG.INSTRUCTIONS, instructions),
			);
		}
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
		if (process.apparmorProfile !== null) it.string(TAG.APPARMOR_PROFILE, process.apparmorProfile);
		if (process.selinuxLabel !== null) it.string(TAG.SELINUX_LABEL, process.selinuxLabel);
	});
}

function writeUser(body: BodyWriter, user: UserSpec): void {
	body.string(TAG.USER_SPEC, user.spec);
	if (user.uid !== null) body.u32(TAG.UID, user.uid);
	if (user.gid !== null) body.u32(TAG.GID, user.gid);
	for (const gid of user.supplementalGids) body.u32(TAG.SUPPLEMENTAL_GID, gid);
	body.u32(TAG.GROUPS_POLICY, user.groupsPolicy === 'strict' ? GROUPS_POLICY.STRICT : GROUPS_POLICY.MERGE);
}
