import {join} from 'node:path';
import type {ImageRecord, Snapshot} from '../../image/image.js';
import type {CapabilitySets, CgroupPlan, LaunchSpec, ProcessSpec} from '../../native/native.js';
import {NamespaceMode, type ContainerConfig__Output} from '../../proto/cri.js';
import type {CgroupHierarchies} from '../cgroup/hierarchies.js';
import type {SandboxRecord} from '../sandbox/record.js';
import {DEFAULT_SYMLINKS, toOwnedSpecs, type Devices} from './devices.js';
import {hasOwnDev, toMounts, toRootPropagation} from './mounts.js';
import {toCoveredPaths} from './paths.js';
import {toArgs, toCwd, toEnv} from './process.js';
import {toUserSpec} from './user.js';

export {toExecFacts, toExecProcess} from './exec.js';
export {validateContainerConfig} from './container-config.js';

/** What a process is made of; all of it is known before anything is made. */
export interface ProcessInput {
	readonly sandbox: SandboxRecord;
	/** Validated. */
	readonly config: ContainerConfig__Output;
	readonly image: ImageRecord;
	readonly capabilities: CapabilitySets;
	/** null = unconfined. */
	readonly seccomp: Uint8Array | null;
}

/** @throws {InvalidArgumentError} neither config nor image has a command; a user that cannot be. */
export function toProcess({sandbox, config, image, capabilities, seccomp}: ProcessInput): ProcessSpec {
	const linux = config.linux ?? null;
	return {
		args: toArgs(config, image.config),
		env: toEnv(config, image.config, sandbox.hostname),
		cwd: toCwd(config, image.config),
		user: toUserSpec(config, image.config.user),
		capabilities,
		noNewPrivileges: linux?.security_context?.no_new_privs ?? false,
		// The CRI has none: the launcher's are inherited.
		rlimits: [],
		oomScoreAdj: linux?.resources ? Number(linux.resources.oom_score_adj) : null,
		seccomp,
		tty: config.tty,
	};
}

export interface LaunchInput {
	readonly containerId: string;
	readonly sandbox: SandboxRecord;
	/** Validated. */
	readonly config: ContainerConfig__Output;
	readonly image: ImageRecord;
	readonly snapshot: Snapshot;
	readonly hierarchies: CgroupHierarchies;
	readonly cgroup: CgroupPlan;
	readonly devices: Devices;
	readonly process: ProcessSpec;
	/** Absolute; null = no log. */
	readonly logPath: string | null;
	/** A longer line is split. */
	readonly maxLogLineBytes: number;
	/** Process whose PID namespace is joined; asked for by NamespaceMode TARGET only. */
	readonly targetPid: number | null;
}

/** All that monitor and init need to make the container. Pure. */
export function toLaunchSpec(input: LaunchInput): LaunchSpec {
	const {containerId, sandbox, config, image, snapshot, hierarchies, cgroup, devices, process, logPath, maxLogLineBytes, targetPid} = input;
	const security = config.linux?.security_context ?? null;
	const ownDev = hasOwnDev(config);
	const mounts = toMounts(config, sandbox, hierarchies);
	const specs = toOwnedSpecs(devices.specs, sandbox.userNamespace);
	return {
		containerId,
		// As elsewhere, a privileged container sees the host's cgroups.
		namespaces: {pid: toPidNamespace(config, sandbox, targetPid), cgroup: security?.privileged === true ? 'host' : 'new'},
		cgroup,
		rootfs: {...snapshot, readonly: security?.readonly_rootfs ?? false, propagation: toRootPropagation(config)},
		mounts,
		devices: ownDev ? specs.filter(({path}) => !path.startsWith('/dev/')) : specs,
		symlinks: ownDev ? [] : DEFAULT_SYMLINKS,
		...toCoveredPaths(config),
		process,
		log: logPath === null ? null : {path: logPath, maxLineBytes: maxLogLineBytes},
		stdin: config.stdin ? 'pipe' : 'null',
		volumeDirs: toVolumeDirs(image.config.volumes, new Set(mounts.map(({target}) => target))),
	};
}

function toPidNamespace(config: ContainerConfig__Output, sandbox: SandboxRecord, targetPid: number | null): LaunchSpec['namespaces']['pid'] {
	const mode = config.linux?.security_context?.namespace_options?.pid ?? null;
	if (mode === NamespaceMode.TARGET && targetPid !== null) return {pid: targetPid};
	if (mode === NamespaceMode.CONTAINER) return 'new';
	// POD and NODE were checked against what the pod has.
	return ({pod: 'pod', node: 'host', container: 'new', target: 'new'} as const)[sandbox.namespaces.pid];
}

function toVolumeDirs(volumes: readonly string[], mounted: ReadonlySet<string>): readonly string[] {
	return volumes.map(path => join('/', path).replace(/(?<=.)\/$/, '')).filter(path => path !== '/' && !mounted.has(path));
}
