import {join} from 'node:path';
import type {ImageRecord} from '../../image/image.js';
import type {CapabilitySets, CgroupPlan, LaunchSpec, ProcessSpec, TimeOffsets, UserSpec} from '../../native/native.js';
import {NamespaceMode, type ContainerConfig__Output} from '../../proto/cri.js';
import type {CdiChanges} from '../cdi/edits.js';
import type {CgroupHierarchies} from '../cgroup/hierarchies.js';
import type {Snapshots} from '../container/snapshots.js';
import type {SandboxRecord} from '../sandbox/record.js';
import {DEFAULT_SYMLINKS, toOwnedSpecs, type Devices} from './devices.js';
import {hasOwnDev, toMounts, toRootPropagation} from './mounts.js';
import {toCoveredPaths} from './paths.js';
import {toArgs, toCwd, toEnv} from './process.js';
import type {Rlimit} from './rlimits.js';
import type {SecurityLabels} from './security-profile.js';
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
	readonly rlimits: readonly Rlimit[];
	readonly labels: SecurityLabels;
	readonly cdi: CdiChanges;
}

/** @throws {InvalidArgumentError} neither config nor image has a command; a user that cannot be. */
export function toProcess({sandbox, config, image, capabilities, seccomp, rlimits, labels, cdi}: ProcessInput): ProcessSpec {
	const linux = config.linux ?? null;
	return {
		args: toArgs(config, image.config),
		env: toEnv(config, image.config, {hostname: sandbox.hostname, cdi: cdi.env}),
		cwd: toCwd(config, image.config),
		user: withGids(toUserSpec(config, image.config.user), cdi.gids),
		capabilities,
		noNewPrivileges: linux?.security_context?.no_new_privs ?? false,
		// The CRI has none; what the config does not name is the launcher's.
		rlimits,
		oomScoreAdj: linux?.resources ? Number(linux.resources.oom_score_adj) : null,
		seccomp,
		tty: config.tty,
		apparmorProfile: labels.apparmorProfile,
		selinuxLabel: labels.selinuxLabel,
	};
}

function withGids(user: UserSpec, gids: readonly number[]): UserSpec {
	return gids.length === 0 ? user : {...user, supplementalGids: [...new Set([...user.supplementalGids, ...gids])]};
}

export interface LaunchInput {
	readonly containerId: string;
	readonly sandbox: SandboxRecord;
	/** Validated. */
	readonly config: ContainerConfig__Output;
	readonly image: ImageRecord;
	readonly snapshots: Snapshots;
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
	readonly cdi: CdiChanges;
	readonly timeOffsets: TimeOffsets | null;
	readonly mountLabel: string | null;
}

/** All that monitor and init need to make the container. Pure. */
export function toLaunchSpec(input: LaunchInput): LaunchSpec {
	const {containerId, sandbox, config, image, snapshots, hierarchies, cgroup, devices, process, logPath, maxLogLineBytes, targetPid} = input;
	const security = config.linux?.security_context ?? null;
	const ownDev = hasOwnDev(config);
	const mounts = toMounts({config, sandbox, hierarchies, volumes: snapshots.volumes, cdi: input.cdi.mounts});
	const specs = toOwnedSpecs(devices.specs, sandbox.userNamespace);
	return {
		containerId,
		// As elsewhere, a privileged container sees the host's cgroups.
		namespaces: {pid: toPidNamespace(config, sandbox, targetPid), cgroup: security?.privileged === true ? 'host' : 'new'},
		cgroup,
		rootfs: {...snapshots.root, readonly: security?.readonly_rootfs ?? false, propagation: toRootPropagation(config)},
		mounts,
		devices: ownDev ? specs.filter(({path}) => !path.startsWith('/dev/')) : specs,
		symlinks: ownDev ? [] : DEFAULT_SYMLINKS,
		...toCoveredPaths(config),
		process,
		log: logPath === null ? null : {path: logPath, maxLineBytes: maxLogLineBytes},
		stdin: config.stdin ? 'pipe' : 'null',
		volumeDirs: toVolumeDirs(image.config.volumes, new Set(mounts.map(({target}) => target))),
		timeOffsets: input.timeOffsets,
		mountLabel: input.mountLabel,
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
