import {join} from 'node:path';
import {InvalidArgumentError, WrongStateError} from '../../base/errors.js';
import type {ImageRecord, Snapshot} from '../../image/image.js';
import type {LaunchSpec} from '../../native/native.js';
import {NamespaceMode, type ContainerConfig__Output} from '../../proto/cri.js';
import {toContainerCgroupPath} from '../cgroup/hierarchies.js';
import {toContainerCgroupPlan} from '../cgroup/plan.js';
import {toResourceFacts} from '../cgroup/resources.js';
import {assertRunning, type ContainerRecord, type MountFacts} from '../container/record.js';
import type {LaunchFacts} from '../handler/handler.js';
import type {Runtime} from '../runtime.js';
import type {SandboxRecord} from '../sandbox/record.js';
import {toCapabilitySets, toCapabilityWish} from './capabilities.js';
import {findDevices} from './devices.js';
import {toExecFacts} from './exec.js';
import {hostFacts} from './host.js';
import {toLaunchSpec, toProcess} from './launch-spec.js';
import {assertSecurityModules, toSeccompChoice} from './security-profile.js';
import {toStopSignal} from './stop-signal.js';
import {isIdMapped} from './user-namespace.js';

export {validateContainerConfig} from './container-config.js';

/** A container that is to be made. */
export interface LaunchPlan {
	/** Phase `creating`; pid 0 and root until the init has resolved the user. */
	readonly record: ContainerRecord;
	/** Once its writable layer is there. */
	readonly toSpec: (snapshot: Snapshot) => LaunchSpec;
	readonly facts: LaunchFacts;
}

export interface PlanInput {
	readonly id: string;
	readonly sandbox: SandboxRecord;
	/** Has passed validateContainerConfig. */
	readonly config: ContainerConfig__Output;
	readonly image: ImageRecord;
}

/**
 * Decides everything about a container before anything is made.
 *
 * @throws {InvalidArgumentError | UnimplementedError} naming field or file; {NotFoundError | WrongStateError} of a TARGET container.
 */
export async function planLaunch(runtime: Pick<Runtime, 'options' | 'cgroups' | 'seccomp' | 'state' | 'clock'>, input: PlanInput): Promise<LaunchPlan> {
	const {id, sandbox, config, image} = input;
	const host = await hostFacts();
	assertSecurityModules(config, host);
	const capabilities = toCapabilitySets(toCapabilityWish(config), runtime.options.defaultCapabilities, host.capabilities);
	const [devices, filter] = await Promise.all([findDevices(config), runtime.seccomp.choose(toSeccompChoice(config), capabilities.bounding)]);
	const process = toProcess({sandbox, config, image, capabilities, seccomp: filter?.program ?? null});
	const cgroupPath = toContainerCgroupPath(sandbox.cgroupParent, id);
	const resources = toResourceFacts(config.linux?.resources ?? null);
	const cgroup = toContainerCgroupPlan(runtime.cgroups, cgroupPath, resources, devices.rules);
	const targetPid = findTargetPid(runtime, config, sandbox);
	const logPath = toLogPath(config, sandbox);
	const record = {
		...toRecordFacts(input),
		createdAtNs: runtime.clock.nowNs(),
		logPath,
		cgroupPath,
		cgroupJoin: cgroup.join,
		exec: toExecFacts(process, NOBODY_YET, filter?.key ?? null),
	};
	const {maxLogLineBytes} = runtime.options;
	const toSpec = (snapshot: Snapshot): LaunchSpec =>
		toLaunchSpec({
			containerId: id,
			sandbox,
			config,
			image,
			snapshot,
			hierarchies: runtime.cgroups,
			cgroup,
			devices,
			process,
			logPath: logPath === '' ? null : logPath,
			maxLogLineBytes,
			targetPid,
		});
	return {record, toSpec, facts: {cgroupPath, resources, deviceRules: devices.rules, seccomp: filter?.rules ?? null}};
}

/** Until the init has looked the user up in the image. */
const NOBODY_YET = {uid: 0, gid: 0, supplementalGids: []};

function toRecordFacts({id, sandbox, config, image}: PlanInput): Omit<ContainerRecord, 'createdAtNs' | 'logPath' | 'cgroupPath' | 'cgroupJoin' | 'exec'> {
	return {
		kind: 'container',
		id,
		sandboxId: sandbox.id,
		metadata: {name: config.metadata?.name ?? '', attempt: config.metadata?.attempt ?? 0},
		labels: config.labels,
		annotations: config.annotations,
		image: {asked: config.image?.image ?? '', userSpecified: config.image?.user_specified_image ?? '', id: image.id},
		state: {phase: 'creating'},
		pid: 0,
		mounts: config.mounts.map(mount => toMountFacts(mount, sandbox)),
		resources: toResourceFacts(config.linux?.resources ?? null),
		user: NOBODY_YET,
		tty: config.tty,
		stdin: config.stdin,
		stdinOnce: config.stdin_once,
		stopSignal: toStopSignal(config.stop_signal, image.config.stopSignal),
		privileged: config.linux?.security_context?.privileged ?? false,
	};
}

function toMountFacts(mount: ContainerConfig__Output['mounts'][number], {userNamespace}: SandboxRecord): MountFacts {
	return {
		containerPath: mount.container_path,
		hostPath: mount.host_path,
		readonly: mount.readonly,
		selinuxRelabel: mount.selinux_relabel,
		propagation: mount.propagation,
		recursiveReadOnly: mount.recursive_read_only,
		mountOptions: mount.mount_options,
		idMapping: isIdMapped(mount) ? userNamespace : null,
	};
}

/** '' = none: the pod has no log directory, or the container no log. */
function toLogPath(config: ContainerConfig__Output, sandbox: SandboxRecord): string {
	return sandbox.logDirectory === '' || config.log_path === '' ? '' : join(sandbox.logDirectory, config.log_path);
}

/** @throws {NotFoundError | WrongStateError | InvalidArgumentError} no such container, not running, or of another pod. */
function findTargetPid(runtime: Pick<Runtime, 'state'>, config: ContainerConfig__Output, sandbox: SandboxRecord): number | null {
	const options = config.linux?.security_context?.namespace_options ?? null;
	if (options?.pid !== NamespaceMode.TARGET) return null;
	const target = runtime.state.findContainer(options.target_id);
	if (target.sandboxId !== sandbox.id)
		throw new InvalidArgumentError(`namespace_options.target_id: container "${target.id}" is of another pod sandbox`, {field: 'namespace_options.target_id'});
	assertRunning(target);
	if (target.pid === 0) throw new WrongStateError('container', target.id, 'exited', 'running');
	return target.pid;
}
